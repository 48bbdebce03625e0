// A function as one writes it for Lambda: run by `runtime.mjs app.handler`.

import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

if ("FUNCTION_BROKEN" in process.env) throw new Error("broken as told");

export async function handler(event) {
  if (!("Records" in event)) return event;
  const batchItemFailures = [];
  for (const { messageId, body } of event.Records) {
    const { name, do: what } = JSON.parse(body);
    console.log(`handling ${name}`);
    if (process.env.FUNCTION_DIARY) appendFileSync(process.env.FUNCTION_DIARY, `${name}\n`);
    if (what === "fail") batchItemFailures.push({ itemIdentifier: messageId });
    else if (what === "throw") throw new RangeError("thrown as told");
    else if (what === "sleep") await sleep(3_600_000);
    else if (what === "crash") process.exit(7);
    else if (what === "wait") while (!existsSync(process.env.FUNCTION_GATE)) await sleep(5);
  }
  return { batchItemFailures };
}
