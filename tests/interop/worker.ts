/**
 * A worker that speaks to the database through the reference's client only.
 *
 * Usage: node worker.ts FLOW [TASKS]; it leaves after so many tasks, else at SIGTERM. The connection is in PGHOST, ….
 */
import { randomUUID } from 'node:crypto';
import { PgflowSqlClient } from '@pgflow/core';
import postgres from 'postgres';
import * as flows from './flows.ts';

const VISIBILITY_SECONDS = 2;
const BATCH = 10;
const POLL_SECONDS = 1;
const POLL_MILLISECONDS = 20;

const [slug, limit] = process.argv.slice(2);
const flow: any = Object.values(flows).find((each) => each.slug === slug);
if (!flow) throw new Error(`no flow ${slug}; there are ${Object.keys(flows)}`);

const sql = postgres({ max: 4, onnotice: () => undefined });
const client = new PgflowSqlClient(sql);
const workerId = randomUUID();
const isRootSingle = (step: any) => step.dependencies.length === 0 && step.stepType !== 'map';
let remaining = limit === undefined ? Infinity : Number(limit);
let leaving = false;
process.on('SIGTERM', () => (leaving = true));

await sql`insert into pgflow.workers (worker_id, queue_name, function_name) values (${workerId}, ${slug}, 'node')`;
console.log(`ready ${workerId}`);
while (!leaving && remaining > 0) {
  await heartbeat();
  await workBatch();
}
await sql`update pgflow.workers set deprecated_at = clock_timestamp() where worker_id = ${workerId}`;
const [{ marks }] = await sql`select to_regproc('pgflow.mark_worker_stopped') is not null as marks`;
if (marks) await sql`select pgflow.mark_worker_stopped(${workerId})`;
await sql.end();

/** Say that it is alive, and hear whether it is asked to leave. */
async function heartbeat(): Promise<void> {
  const [row] = await sql`
    update pgflow.workers set last_heartbeat_at = clock_timestamp() where worker_id = ${workerId} returning deprecated_at
  `;
  leaving ||= Boolean(row.deprecated_at);
}

/** Read messages, start their tasks, work them all. */
async function workBatch(): Promise<void> {
  const wanted = Math.min(BATCH, remaining);
  const messages = await client.readMessages(slug, VISIBILITY_SECONDS, wanted, POLL_SECONDS, POLL_MILLISECONDS);
  if (messages.length === 0) return;
  const tasks = await client.startTasks(slug, messages.map((message) => message.msg_id), workerId);
  remaining -= tasks.length;
  await Promise.all(tasks.map(work));
}

/** Run the handler of a task and report what became of it. */
async function work(task: any): Promise<void> {
  console.log(`works ${task.step_slug} ${task.task_index}`);
  const step = flow.getStepDefinition(task.step_slug);
  const input = inputOf(task, step);
  try {
    await client.completeTask(task, await step.handler(input, { flowInput: flowInput(task) }));
  } catch (error) {
    await client.failTask(task, error);
  }
}

/** What the handler takes. Old cores have no flow_input, but a key `run` in the inputs of steps that are no maps. */
function inputOf(task: any, step: any): any {
  if (!isRootSingle(step)) return task.input;
  return task.flow_input === undefined ? task.input.run : task.flow_input;
}

/** The run's input, read when a handler asks for it. */
function flowInput(task: any): PromiseLike<any> {
  return {
    then: (resolve, reject) =>
      sql`select input from pgflow.runs where run_id = ${task.run_id}`.then(([run]) => run.input).then(resolve, reject),
  };
}
