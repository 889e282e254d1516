// What a peer's script tells the benchmark: one JSON object a line.
import http from "node:http";

let done = 0;
let told = -1;

export const count = (n = 1) => { done += n; };

export const ready = () => {
  const tell = () => {
    if (done !== told) {
      told = done;
      console.log(JSON.stringify({ done }));
    }
  };
  setInterval(tell, 20);
  console.log(JSON.stringify({ ready: true }));
  process.stdin.resume().on("end", () => { tell(); process.exit(0); });
};

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });

// Sends mails in one request, as Resend wants them, and returns their ids.
export const send = (url, key, mails) =>
  new Promise((resolve, reject) => {
    const body = JSON.stringify(mails);
    const headers = {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
      Authorization: "Bearer re_bench",
      "Idempotency-Key": key,
    };
    const request = http.request(`${url}/emails/batch`, { method: "POST", agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => { text += part; });
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(text).data.map((each) => each.id));
        else reject(new Error(`${response.statusCode}: ${text}`));
      });
    });
    request.on("error", reject);
    request.end(body);
  });

export const mail = (to, subject, html) => ({ from: "Shop <shop@shop.test>", to: [to], subject, html });
