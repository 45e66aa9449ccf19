/**
 * Whether Velero's service account has the rights that the plugin needs, by reading the RBAC objects: nothing is asked of the API
 * server that would create anything, and nobody is impersonated.
 *
 * Other authorizers than RBAC, which some clusters have beside it, are not seen.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Kubernetes, type Resource } from "../../kubernetes/Kubernetes.ts"
import * as View from "../../velero/View.ts"
import { error, type Finding, warning } from "./Finding.ts"

/** Something that the plugin does. */
export interface Right {
  readonly group: string
  readonly resource: string
  readonly verb: string
  readonly name?: string
  /** `velero`: in Velero's namespace only. Default: everywhere. */
  readonly where?: "velero"
  /** Without it Clusters are not recovered. Without another one the plugin goes on, and says so in Velero's log. */
  readonly vital?: true
}

const cnpg = "postgresql.cnpg.io"

const rights = (
  group: string,
  resources: ReadonlyArray<string>,
  verbs: ReadonlyArray<string>,
  more: Pick<Right, "name" | "vital" | "where"> = {}
): ReadonlyArray<Right> => resources.flatMap((resource) => verbs.map((verb) => ({ group, resource, verb, ...more })))

/** All that `deploy/rbac.yaml` grants, which says what each is for. */
export const needed: ReadonlyArray<Right> = [
  ...rights(cnpg, ["backups"], ["list"], { vital: true }),
  ...rights(cnpg, ["backups"], ["get", "create", "patch", "delete"]),
  ...rights(cnpg, ["clusters"], ["get"], { vital: true }),
  ...rights(cnpg, ["clusters"], ["list"]),
  ...rights("barmancloud.cnpg.io", ["objectstores"], ["get"]),
  ...rights("", ["services", "pods"], ["list"]),
  ...rights("batch", ["jobs"], ["list"]),
  ...rights(
    cnpg,
    ["scheduledbackups", "poolers", "databases", "publications", "subscriptions", "databaseroles"],
    ["list"]
  ),
  ...rights(cnpg, ["imagecatalogs", "clusterimagecatalogs"], ["get"]),
  ...rights("", ["secrets", "configmaps"], ["get"]),
  ...rights("", ["namespaces"], ["get"]),
  ...rights("", ["configmaps"], ["create", "patch"], { name: "cnpg-velero-override", vital: true }),
  ...rights("", ["configmaps"], ["list"], { where: "velero" })
]

const Strings = View.optional(Schema.Array(Schema.String))
const Rule = Schema.Struct({ apiGroups: Strings, resources: Strings, verbs: Strings, resourceNames: Strings })
export type Rule = typeof Rule.Type

const decodeRole = Schema.decodeUnknownOption(
  Schema.Struct({ metadata: View.Metadata, rules: View.optional(Schema.Array(Rule)) })
)

const decodeBinding = Schema.decodeUnknownOption(
  Schema.Struct({
    metadata: View.Metadata,
    roleRef: Schema.Struct({ kind: Schema.String, name: Schema.String }),
    subjects: View.optional(
      Schema.Array(Schema.Struct({ kind: Schema.String, name: Schema.String, namespace: View.optional(Schema.String) }))
    )
  })
)

const has = (list: ReadonlyArray<string> | null | undefined, word: string): boolean =>
  (list ?? []).some((each) => each === word || each === "*")

/** Whether a rule gives a right. */
export const gives = ({ apiGroups, resourceNames, resources, verbs }: Rule, right: Right): boolean =>
  has(apiGroups, right.group) &&
  has(resources, right.resource) &&
  has(verbs, right.verb) &&
  ((resourceNames ?? []).length === 0 || (right.name !== undefined && resourceNames?.includes(right.name) === true))

/** The rules of a service account: those that count everywhere, and those of Velero's own namespace. */
export interface Granted {
  readonly everywhere: ReadonlyArray<Rule>
  readonly inVelero: ReadonlyArray<Rule>
}

/** What is missing. Rights in single other namespaces do not count: a Cluster may be restored into any. */
export const missing = ({ everywhere, inVelero }: Granted): ReadonlyArray<Right> =>
  needed.filter(
    (right) => ![...everywhere, ...(right.where === "velero" ? inVelero : [])].some((rule) => gives(rule, right))
  )

export const describe = ({ group, name, resource, verb, where }: Right): string =>
  `${verb} ${resource}${group === "" ? "" : `.${group}`}${name === undefined ? "" : ` ${name}`}${where === "velero" ? " in its own namespace" : ""}`

const rbac = (resource: string, kind: string, namespaced: boolean): Resource => ({
  group: "rbac.authorization.k8s.io",
  version: "v1",
  resource,
  kind,
  namespaced
})
const clusterRoles = rbac("clusterroles", "ClusterRole", false)
const clusterRoleBindings = rbac("clusterrolebindings", "ClusterRoleBinding", false)
const roles = rbac("roles", "Role", true)
const roleBindings = rbac("rolebindings", "RoleBinding", true)

interface Account {
  readonly namespace: string
  readonly serviceAccount: string
}

const grantedTo = ({ namespace, serviceAccount }: Account) =>
  Effect.gen(function* () {
    const kubernetes = yield* Kubernetes
    const groups = ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"]
    const user = `system:serviceaccount:${namespace}:${serviceAccount}`
    const bound = (resource: Resource, within: string | undefined) =>
      kubernetes.fold(
        resource,
        { namespace: within },
        (): Array<{ readonly kind: string; readonly name: string }> => [],
        (refs, object) => {
          const binding = Option.getOrUndefined(decodeBinding(object))
          const isTheirs = (binding?.subjects ?? []).some(
            (subject) =>
              (subject.kind === "ServiceAccount" &&
                subject.name === serviceAccount &&
                (subject.namespace || within) === namespace) ||
              (subject.kind === "Group" && groups.includes(subject.name)) ||
              (subject.kind === "User" && subject.name === user)
          )
          if (binding !== undefined && isTheirs) refs.push(binding.roleRef)
          return refs
        }
      )
    const rulesOf = (ref: { readonly kind: string; readonly name: string }) =>
      (ref.kind === "Role"
        ? kubernetes.get(roles, namespace, ref.name)
        : kubernetes.get(clusterRoles, undefined, ref.name)
      ).pipe(
        Effect.map((object) => Option.getOrUndefined(decodeRole(object))?.rules ?? []),
        // A binding to what does not exist gives nothing.
        Effect.catchTag("NotFound", () => Effect.succeed([]))
      )
    const everywhere = yield* bound(clusterRoleBindings, undefined)
    const inVelero = yield* bound(roleBindings, namespace)
    return {
      everywhere: (yield* Effect.forEach(everywhere, rulesOf)).flat(),
      inVelero: (yield* Effect.forEach(inVelero, rulesOf)).flat()
    } satisfies Granted
  })

export interface Rights {
  /** `namespace/name` */
  readonly serviceAccount: string
  /** In words; `null`: unknown. */
  readonly missing: ReadonlyArray<string> | null
  readonly findings: ReadonlyArray<Finding>
}

/** What Velero's service account may not do. */
export const inspect = (account: Account): Effect.Effect<Rights, never, Kubernetes> => {
  const serviceAccount = `${account.namespace}/${account.serviceAccount}`
  return grantedTo(account).pipe(
    Effect.map((granted): Rights => {
      const lacking = missing(granted)
      const level = lacking.some(({ vital }) => vital === true) ? error : warning
      const words = lacking.map(describe)
      return {
        serviceAccount,
        missing: words,
        findings:
          words.length === 0
            ? []
            : [
                level(
                  `service account ${serviceAccount} may not ${words.join("; ")}. Apply deploy/rbac.yaml, with this service account as its subject`
                )
              ]
      }
    }),
    Effect.catch((problem) =>
      Effect.succeed<Rights>({
        serviceAccount,
        missing: null,
        findings: [warning(`the rights of service account ${serviceAccount} are unknown: ${problem.message}`)]
      })
    )
  )
}
