/** Stands where the DSL is and records what a module declares; it knows the options of newer DSLs, which npm lacks. */
export type Json = any;

export class Flow<_Input> {
  readonly slug: string;
  readonly declared: object[];

  constructor({ slug, ...options }: any) {
    this.slug = slug;
    this.declared = [{ slug, options }];
  }

  step(options: any, handler: Function): this {
    return this.record('step', options, handler);
  }

  array(options: any, handler: Function): this {
    return this.record('array', options, handler);
  }

  map(options: any, handler: Function): this {
    return this.record('map', options, handler);
  }

  private record(method: string, options: any, handler: Function): this {
    if (handler.length !== 1) throw new Error('a handler takes its input');
    this.declared.push({ method, ...options });
    return this;
  }
}
