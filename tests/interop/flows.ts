/** The flows of the tests, declared with the reference's DSL. Outputs say which language made them. */
import { existsSync } from 'node:fs';
import { Flow } from '@pgflow/dsl';

const OPTIONS = { maxAttempts: 3, baseDelay: 1, timeout: 60 };

/** Each step adds the language that has worked it. */
export const chain = new Flow<string[]>({ slug: 'chain', ...OPTIONS })
  .step({ slug: 'first' }, (languages: any) => [...languages, 'node'])
  .step({ slug: 'second', dependsOn: ['first'] }, (deps: any) => [...deps.first, 'node'])
  .step({ slug: 'third', dependsOn: ['second'] }, (deps: any) => [...deps.second, 'node'])
  .step({ slug: 'fourth', dependsOn: ['third'] }, (deps: any) => [...deps.third, 'node']);

/** A map over the run's input, and a step that reads all of it. */
export const elements = new Flow<number[]>({ slug: 'elements', ...OPTIONS })
  .map({ slug: 'element' }, async (number: number) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { number, by: 'node' };
  })
  .step({ slug: 'total', dependsOn: ['element'] }, (deps: any) => sum(deps.element.map((each: any) => each.number)));

/** Fails in the language that its input names. */
export const fragile = new Flow<{ fails_in: string }>({ slug: 'fragile', ...OPTIONS })
  .step({ slug: 'only' }, (input: any) => {
    if (input.fails_in === 'node') throw new Error('node has failed');
    return 'node';
  });

/** Gives back what it gets. */
export const echo = new Flow<any>({ slug: 'echo', ...OPTIONS })
  .step({ slug: 'there' }, (input: any) => input)
  .step({ slug: 'back', dependsOn: ['there'] }, (deps: any) => deps.there);

/** Falsy outputs of single steps, and a step that shows what it got of them. */
export const falsy = new Flow<any>({ slug: 'falsy', ...OPTIONS })
  .step({ slug: 'none' }, () => null)
  .step({ slug: 'no' }, () => false)
  .step({ slug: 'zero' }, () => 0)
  .step({ slug: 'empty' }, () => '')
  .step({ slug: 'nothing' }, () => [])
  .step({ slug: 'shown', dependsOn: ['none', 'no', 'zero', 'empty', 'nothing'] }, (deps: any) => deps);

/** Ends when the file that its input names is there. */
export const held = new Flow<{ until: string }>({ slug: 'held', ...OPTIONS })
  .step({ slug: 'only' }, async (input: any) => {
    while (!existsSync(input.until)) await new Promise((resolve) => setTimeout(resolve, 10));
    return 'node';
  });

/** The run's input is read by a step that isn't a root. */
export const late = new Flow<{ name: string }>({ slug: 'late', ...OPTIONS })
  .step({ slug: 'greeting' }, (): string => 'hello')
  .step({ slug: 'greet', dependsOn: ['greeting'] }, async (deps: any, context: any) => {
    return `${deps.greeting} ${(await context.flowInput).name}`;
  });

/** Python has compiled it with conditions, which this DSL can't say: only what is met runs, and is in what follows. */
export const branches = new Flow<{ left: boolean }>({ slug: 'branches', ...OPTIONS })
  .step({ slug: 'left' }, () => 'node')
  .step({ slug: 'right' }, () => 'node')
  .step({ slug: 'joined', dependsOn: ['left', 'right'] }, (deps: any) => deps);

/** Everything that the DSL can say. */
export const everything = new Flow<number[]>({ slug: 'everything', maxAttempts: 7, baseDelay: 2, timeout: 90 })
  .array({ slug: 'numbers', startDelay: 0 }, (): number[] => [1, 2, 3])
  .map({ slug: 'each_input', timeout: 5, maxAttempts: 1, baseDelay: 9 }, (number: number) => number)
  .map({ slug: 'each_number', array: 'numbers', startDelay: 4 }, (number: number) => number)
  .step({ slug: 'total', dependsOn: ['numbers', 'each_number', 'each_input'], maxAttempts: 2 }, () => 0)
  .step({ slug: 'Last_1', dependsOn: ['total'] }, () => null);

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
