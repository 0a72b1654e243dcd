/** What Supabase's API does for the reference's client: functions, rows and broadcasts, over one connection each. */
import postgres from 'postgres';

const REALTIME_CHANNEL = 'realtime'; // what stands for realtime.send in the database notifies here

type Callback = (message: any) => void;

export class Supabase {
  readonly sql = postgres({ max: 2, onnotice: () => undefined });
  private readonly listeners = new Map<string, Callback[]>();

  /** Begin to receive broadcasts. */
  async open(): Promise<void> {
    await this.sql.listen(REALTIME_CHANNEL, (text) => {
      const message = JSON.parse(text);
      for (const callback of this.listeners.get(message.topic) ?? []) callback(message);
    });
  }

  async close(): Promise<void> {
    await this.sql.end();
  }

  schema(name: string): object {
    const sql = this.sql;
    return {
      rpc: (procedure: string, parameters: Record<string, any>) => {
        const values = Object.entries(parameters).map(([key, value]) => {
          return key === 'input' ? sql`input => ${sql.json(value)}` : sql`${sql(key)} => ${value}`;
        });
        const list = values.reduce((all, each) => sql`${all}, ${each}`);
        return answer(sql`select ${sql(name)}.${sql(procedure)}(${list}) as data`.then(([row]) => row.data));
      },
      from: (table: string) => ({
        select: () => ({
          eq: (column: string, value: string) => {
            const found = sql`select * from ${sql(name)}.${sql(table)} where ${sql(column)} = ${value}`;
            return {
              single: () => answer(found.then(([row]) => row)),
              order: (by: string) => answer(found.then((rows) => rows.toSorted((a, b) => a[by] - b[by]))),
            };
          },
        }),
      }),
    };
  }

  channel(topic: string): object {
    const callbacks: Callback[] = [];
    const channel = {
      on: (kind: string, _filter: object, callback: Callback) => {
        if (kind === 'broadcast') callbacks.push(callback);
        return channel;
      },
      subscribe: (told: (status: string) => void) => {
        this.listeners.set(topic, callbacks);
        told?.('SUBSCRIBED');
        return channel;
      },
      unsubscribe: () => this.listeners.delete(topic),
    };
    return channel;
  }
}

/** Answer as the API does: with data, or with an error. */
async function answer(data: Promise<any>): Promise<{ data: any; error: any }> {
  return data.then((found) => ({ data: found, error: null }), (error) => ({ data: null, error }));
}
