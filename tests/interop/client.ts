/**
 * The reference's compiler and client.
 *
 * Usage: node client.ts compile FLOW, prints SQL; node client.ts start FLOW INPUT, prints the id of a run;
 * node client.ts compile-file FILE, prints SQL of all flows that a file exports by name.
 */
import { pathToFileURL } from 'node:url';
import { PgflowSqlClient } from '@pgflow/core';
import { compileFlow } from '@pgflow/dsl';
import postgres from 'postgres';
import * as flows from './flows.ts';

const [command, name, input] = process.argv.slice(2);
const flowOf = (slug: string): any => Object.values(flows).find((each) => each.slug === slug);

switch (command) {
  case 'compile':
    console.log(compileFlow(flowOf(name)).join('\n'));
    break;
  case 'compile-file':
    for (const [exported, flow] of Object.entries<any>(await import(pathToFileURL(name).href)))
      if (exported !== 'default') console.log(compileFlow(flow).join('\n'));
    break;
  case 'start': {
    const sql = postgres({ max: 1 });
    const run = await new PgflowSqlClient(sql).startFlow(name, JSON.parse(input));
    console.log(run.run_id);
    await sql.end();
    break;
  }
  default:
    throw new Error(`unknown command ${command}`);
}
