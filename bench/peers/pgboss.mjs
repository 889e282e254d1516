// pg-boss: no-op jobs, one mail for each job, and many recipients with one job each.
import { PgBoss } from "pg-boss";
import pg from "pg";
import { count, mail, ready, send } from "./report.mjs";

const [command, json] = process.argv.slice(2);
const given = JSON.parse(json);
const boss = new PgBoss({ connectionString: given.url, max: 16, useListenNotify: true, schedule: false });
boss.on("error", (error) => console.error(String(error)));
await boss.start();

if (command === "setup") {
  for (const name of ["order", "campaign", "recipient"]) await boss.createQueue(name, { notify: true });
  await boss.stop({ graceful: false });
  process.exit(0);
}

const pool = new pg.Pool({ connectionString: given.url, max: 2 });
const fast = { pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5, burstWhenBatchFull: true };

await boss.work("order", { ...fast, batchSize: given.batchSize ?? 1000, localConcurrency: 2 }, async (jobs) => {
  if (given.sink) {
    await Promise.all(jobs.map(({ data }) =>
      send(given.sink, `order-${data.id}`, [mail("one@shop.test", `Order ${data.id}`, "It left.")])));
  }
  count(jobs.length);
});

await boss.work("campaign", { ...fast, batchSize: 1 }, async () => {
  await pool.query(
    `INSERT INTO pgboss.job (name, data, policy)
     SELECT 'recipient', jsonb_build_object('id', id, 'email', email), 'standard' FROM shop.customers`);
  await pool.query("SELECT pg_notify('pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24), 'recipient')");
});

await boss.work("recipient", { ...fast, batchSize: 100, localConcurrency: 8 }, async (jobs) => {
  const mails = jobs.map(({ data }) => ({ ...given.mail, to: [data.email] }));
  if (given.each) await Promise.all(mails.map((one, n) => send(given.sink, jobs[n].id, [one])));
  else await send(given.sink, jobs[0].id, mails);
  count(jobs.length);
});
ready();
