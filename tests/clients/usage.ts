// How a client uses the generated types: compiled, never run.
import type { components, operations, paths } from "./schema";

type Schemas = components["schemas"];

const event: Schemas["Event"] = {
  id: "appt-1001-completed",
  source: "booking",
  type: "appointment_completed",
  customer_id: 4711,
  occurred_at: "2026-03-01T09:30:00Z",
  data: { total_amount: 49.9 },
};

// Omitted fields need no value, unknown ones are errors.
// @ts-expect-error
const unknownField: Schemas["Event"] = { ...event, owner: "ada" };
// @ts-expect-error
const unknownType: Schemas["Event"] = { ...event, type: "appointment" };

function isFinished(job: Schemas["Job"]): boolean {
  switch (job.status) {
    case "queued":
    case "running":
      return false;
    case "done":
    case "failed":
      return true;
  }
}

// The type of a problem determines its other fields.
type MoveProblem = operations["move_customer"]["responses"][404 | 409 | 412]["content"]["application/problem+json"];

function explain(problem: MoveProblem): string {
  if (problem.type === "/problems/stale-version") {
    return `version ${problem.current_version.toFixed(0)} is stored`;
  }
  // @ts-expect-error
  return problem.type === "/problems/customer-not-found" ? problem.current_version : problem.detail;
}

// If-Match is required, filters may be repeated, and neither of them is null.
const headers: paths["/api/v1/customers/{customer_id}/transitions"]["post"]["parameters"]["header"] = {
  "If-Match": '"3"',
};
// @ts-expect-error
const withoutVersion: typeof headers = {};
const filters: operations["list_customers"]["parameters"]["query"] = { stage: ["customer", "vip"] };
// @ts-expect-error
const nullFilter: typeof filters = { stage: null };

// A JSON response is never text.
type Funnel = operations["get_funnel"]["responses"][200]["content"];
const media: keyof Funnel = "application/json";

export { event, explain, filters, headers, isFinished, media, nullFilter, unknownField, unknownType, withoutVersion };
