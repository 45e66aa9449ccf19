/** What the plugins' user may do: what `deploy/rbac.yaml` grants, and nothing else. */
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import type { Anything, Resource, Saved } from "./Objects.ts"
import * as Objects from "./Objects.ts"
import { untilTrue } from "./Poll.ts"
import { readManifests } from "./servers/Servers.ts"
import { Stand } from "./Stand.ts"

const manifest = fileURLToPath(new URL("../../deploy/rbac.yaml", import.meta.url))

const resources: Readonly<Record<string, Resource<Anything>>> = {
  ClusterRole: Objects.clusterRoles,
  ClusterRoleBinding: Objects.clusterRoleBindings,
  Role: Objects.roles,
  RoleBinding: Objects.roleBindings
}

/** The manifest, for the user of the stand instead of Velero's service account. */
const granted = (): ReadonlyArray<Saved<Anything>> =>
  readManifests(manifest).map((object) =>
    "subjects" in object
      ? { ...object, subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "restricted" }] }
      : object
  )

/** Grants it. */
export const grant = Effect.fn("Rights.grant")(function* () {
  const { api } = yield* Stand
  for (const object of granted()) {
    const resource = resources[object.kind]
    if (resource !== undefined) yield* api.apply(resource, object)
  }
  yield* untilAllowed(true)
})

interface Rule {
  readonly resources: ReadonlyArray<string>
}

/** Runs an effect without the right to see CNPG Backups. */
export const withoutBackups = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { api } = yield* Stand
    for (const object of granted().filter(({ kind }) => kind === "ClusterRole")) {
      const rules = (object["rules"] as ReadonlyArray<Rule>).filter(({ resources }) => !resources.includes("backups"))
      yield* api.apply(Objects.clusterRoles, { ...object, rules })
    }
    yield* untilAllowed(false)
    return yield* effect
  }).pipe(Effect.ensuring(Effect.orDie(grant())))

/** The API server takes a moment to notice. */
const untilAllowed = Effect.fnUntraced(function* (expected: boolean) {
  const { api } = yield* Stand
  yield* untilTrue(
    `the plugins' user ${expected ? "may" : "may not"} list CNPG Backups`,
    "30 seconds",
    Effect.map(
      api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: {
          user: "restricted",
          resourceAttributes: { group: "postgresql.cnpg.io", resource: "backups", verb: "list", namespace: "shop" }
        }
      }),
      (review) => (review as { readonly status: { readonly allowed: boolean } }).status.allowed === expected
    )
  )
})
