/**
 * The reference's client, which starts a run and follows it by events.
 *
 * Usage: node watch.ts FLOW INPUT; prints lines of JSON: each event, and what it knows in the end.
 */
import { PgflowClient } from '@pgflow/client';
import { Supabase } from './supabase.ts';

const [slug, input] = process.argv.slice(2);
const supabase = new Supabase();
await supabase.open();
console.log = () => undefined; // the client talks there

const client: any = new PgflowClient(supabase as any, { realtimeStabilizationDelayMs: 0 });
const { steps } = await client.fetchFlowDefinition(slug);
client.onRunEvent((event: object) => print({ event }));
client.onStepEvent((event: object) => print({ event }));
const run = await client.startFlow(slug, JSON.parse(input));
run.on('*', () => undefined); // a run that has ended and that nobody listens to forgets its steps
const ended = new AbortController();
const statuses = ['completed', 'failed'].map((status) => run.waitForStatus(status, { signal: ended.signal }));
await Promise.race(statuses);
ended.abort();
await Promise.allSettled(statuses);
const slugs = steps.map((step: any) => step.step_slug);
const known = Object.fromEntries(slugs.map((each: string) => [each, [run.step(each).status, run.step(each).output]]));
print({ status: run.status, output: run.output, error: run.error_message, steps: known });

const fresh: any = new PgflowClient(supabase as any, { realtimeStabilizationDelayMs: 0 });
const found = await fresh.getRun(run.run_id);
print({ status: found.status, output: found.output, step: found.step(slugs[0]).status });
client.disposeAll();
fresh.disposeAll();
await supabase.close();

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
