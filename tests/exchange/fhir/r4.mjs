// Validate resources of FHIR R4 against the definitions of version 4.0.1 that the npm package
// `fhir` contains: elements, types, cardinality, and codes of required value sets.
// Reads a JSON array of resources; prints a JSON array with the messages about each.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Fhir } = createRequire(import.meta.url)("fhir");
const validator = new Fhir();
const resources = JSON.parse(readFileSync(0, "utf-8"));
const results = resources.map((resource) => {
  const found = validator.validate(resource, { errorOnUnexpected: true });
  return found.messages.filter((message) => ["error", "fatal"].includes(message.severity));
});
process.stdout.write(JSON.stringify(results));
