// graphile-worker: no-op jobs, one mail for each job, and two ways to reach many recipients.
import { makeWorkerUtils, run, Logger } from "graphile-worker";
import pg from "pg";
import { count, mail, ready, send } from "./report.mjs";

const [command, json] = process.argv.slice(2);
const given = JSON.parse(json);
const quiet = new Logger(() => (level, message) => { if (level === "error") console.error(message); });

if (command === "setup") {
  const utils = await makeWorkerUtils({ connectionString: given.url, logger: quiet });
  await utils.migrate();
  await utils.release();
  process.exit(0);
}

const pool = new pg.Pool({ connectionString: given.url, max: 16 });

const tasks = {
  // One job for each row: nothing, or one mail.
  order: async (order) => {
    if (given.sink) await send(given.sink, `order-${order.id}`, [mail("one@shop.test", `Order ${order.id}`, "It left.")]);
    count();
  },

  // By hand: a ledger of recipients written in SQL, and a job for each hundred of them.
  campaign: async ({ id }) => {
    await pool.query(
      `INSERT INTO peer.message (campaign_id, number, contact_id, email)
       SELECT $1, row_number() OVER (ORDER BY id) - 1, id, email FROM shop.customers`, [id]);
    await pool.query(
      `SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
         SELECT ROW('range', json_build_object('id', $1::int, 'first', f), NULL, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec
         FROM generate_series(0, (SELECT max(number) FROM peer.message WHERE campaign_id = $1), 100) f))`, [id]);
  },
  range: async ({ id, first }) => {
    const { rows } = await pool.query({
      name: "range",
      text: "SELECT email FROM peer.message WHERE campaign_id = $1 AND number BETWEEN $2 AND $2 + 99 ORDER BY number",
      values: [id, first],
    });
    const ids = await send(given.sink, `campaign-${id}-${first}`, rows.map((row) => ({ ...given.mail, to: [row.email] })));
    await pool.query({ name: "sent", text: "INSERT INTO peer.request VALUES ($1, $2, $3)", values: [id, first, ids] });
    count(rows.length);
  },

  // As the documentation does it: a job and a request for each recipient.
  everyone: async () => {
    await pool.query(
      `SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
         SELECT ROW('recipient', json_build_object('id', id, 'email', email), NULL, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec
         FROM shop.customers))`);
  },
  recipient: async ({ id, email }) => {
    await send(given.sink, `recipient-${id}`, [{ ...given.mail, to: [email] }]);
    count();
  },
};

const batching = given.localQueue ? { localQueue: { size: given.localQueue }, completeJobBatchDelay: 0 } : {};
await run({
  preset: { worker: { connectionString: given.url, concurrentJobs: 24, maxPoolSize: 26, logger: quiet, ...batching } },
  taskList: tasks,
});
ready();
