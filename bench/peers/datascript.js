// Serves DataScript to the harness: one JSON request per line in, one JSON reply per line out.
// Times are taken here, around the call alone, so that the pipe costs nothing.

const path = require("path");
const readline = require("readline");
const d = require(path.join(process.argv[2], "node_modules", "datascript"));

const MANY_REFS = {
  follows: { ":db/cardinality": ":db.cardinality/many", ":db/valueType": ":db.type/ref" },
};
const dbs = {};

// One call of what the request names, on a database made beforehand.
function job(request) {
  const db = dbs[request.db];
  switch (request.kind) {
    case "q":
      return () => d.q(request.text, db, ...request.inputs);
    case "pull":
      return () => d.pull(db, request.text, 1);
    case "load":
      return () => d.db_with(d.empty_db(MANY_REFS), request.entities);
    case "read":
      return () => request.entities.map((e) => d.q(request.text, db, e));
  }
}

const batches = {}; // entities sent once, timed often

const commands = {
  load(request) {
    dbs[request.db] = d.db_with(d.empty_db(MANY_REFS), request.entities);
    batches[request.db] = request.entities;
    return { datoms: d.datoms(dbs[request.db], ":eavt").length };
  },
  answer(request) {
    return { answer: job(request)() };
  },
  sample(request) {
    if (request.kind === "load") request.entities = batches[request.db];
    const run = job(request);
    const start = performance.now();
    for (let i = 0; i < request.repeat; i++) run();
    return { ms: (performance.now() - start) / request.repeat };
  },
  version() {
    const about = require(path.join(process.argv[2], "node_modules", "datascript", "package.json"));
    return { version: about.version, node: process.version };
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  let reply;
  try {
    reply = commands[request.do](request);
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
});
