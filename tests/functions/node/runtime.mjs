// A small client of the Lambda Runtime API, with nothing but Node.js: AWS' own, `aws-lambda-ric`,
// compiles curl when it is installed. It runs the function that its argument or `_HANDLER` names as
// `file.export`, from `LAMBDA_TASK_ROOT`.

import { Agent, request } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/`;
// The next event may be hours away: nothing times out.
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const asked = request(base + path, { method, agent, headers }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("error", reject);
      answer.on("end", () => {
        const { statusCode: status, headers } = answer;
        resolve({ status, headers, text: Buffer.concat(parts).toString() });
      });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

async function post(path, value, headers) {
  const body = JSON.stringify(value) ?? "null";
  const length = { "content-length": Buffer.byteLength(body), "content-type": "application/json" };
  await call("POST", path, body, { ...length, ...headers });
}

function fail(path, error) {
  const errorType = error?.name ?? "Error";
  const stackTrace = String(error?.stack ?? "").split("\n");
  const value = { errorMessage: error?.message ?? String(error), errorType, stackTrace };
  return post(path, value, { "lambda-runtime-function-error-type": `Runtime.${errorType}` });
}

async function load() {
  const [file, name] = (process.argv[2] ?? process.env._HANDLER).split(/\.(?=[^.]*$)/);
  const path = join(process.env.LAMBDA_TASK_ROOT, `${file}.mjs`);
  return (await import(pathToFileURL(path)))[name];
}

let handler;
try {
  handler = await load();
} catch (error) {
  console.error(error);
  await fail("init/error", error);
  process.exit(1);
}

for (;;) {
  const { id, event, context } = await next();
  try {
    await post(`invocation/${id}/response`, await handler(event, context));
  } catch (error) {
    console.error(error);
    await fail(`invocation/${id}/error`, error);
  }
}

async function next() {
  const { status, headers, text } = await call("GET", "invocation/next");
  if (status !== 200) process.exit(1);
  const header = (name) => headers[`lambda-runtime-${name}`];
  process.env._X_AMZN_TRACE_ID = header("trace-id");
  const id = header("aws-request-id");
  const deadline = Number(header("deadline-ms"));
  const context = {
    awsRequestId: id,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    invokedFunctionArn: header("invoked-function-arn"),
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  return { id, context, event: JSON.parse(text) };
}
