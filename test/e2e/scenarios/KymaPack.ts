/**
 * The Kyma pack's five restore actions on what a Kyma 1 cluster had: ServiceInstances with references of the old cluster, Secrets of
 * ServiceBindings, and what Knative makes anew.
 *
 * The CRDs are stand-ins with the names of Service Catalog's and Knative's; nothing watches their objects.
 */
import * as Effect from "effect/Effect"
import type { Draft } from "../Api.ts"
import * as Namespace from "../Namespace.ts"
import type { Anything, Resource, Saved, VeleroBackup } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { untilTrue } from "../Poll.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"

/** A user's namespace, and the two that the selectors name. */
const namespaces = ["kyma-user", "kyma-integration", "kyma-system"] as const
const [user, integration, system] = namespaces

const custom = (group: string, version: string, kind: string, plural: string): Resource<Anything> => ({
  group,
  version,
  plural,
  kind,
  namespaced: true
})
const serviceInstances = custom("servicecatalog.k8s.io", "v1beta1", "ServiceInstance", "serviceinstances")
const serviceBindings = custom("servicecatalog.k8s.io", "v1beta1", "ServiceBinding", "servicebindings")
const triggers = custom("eventing.knative.dev", "v1alpha1", "Trigger", "triggers")

/** A CRD that takes whatever is written. */
const definition = ({ group, kind, plural, version }: Resource<Anything>): Draft<Anything> => ({
  metadata: {
    name: `${plural}.${group}`,
    // Groups below k8s.io are Kubernetes' own.
    annotations: { "api-approved.kubernetes.io": "unapproved, a stand-in on a test's cluster" }
  },
  spec: {
    group,
    scope: "Namespaced",
    names: { kind, plural, singular: kind.toLowerCase() },
    versions: [
      {
        name: version,
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }
      }
    ]
  }
})

const broker = { "eventing.knative.dev/broker": "default" }
const channel = { "messaging.knative.dev/role": "natss-channel" }
const serving = { "serving.knative.dev/service": "shop" }

const configMap = (namespace: string, name: string, labels: Objects.Strings = {}) => ({
  resource: Objects.configMaps as Resource<Anything>,
  object: { metadata: { namespace, name, labels } }
})
const service = (name: string, labels: Objects.Strings = {}) => ({
  resource: Objects.services,
  object: { metadata: { namespace: user, name, labels }, spec: { ports: [{ port: 80 }], selector: { app: name } } }
})

/** What is restored, and by which action it might have been left out. */
const kept = [
  service("web"),
  configMap(user, "settings", { ...serving, "eventing.knative.dev/broker": "other" }),
  configMap(integration, "settings"),
  configMap(system, "of-the-broker", broker),
  { resource: triggers, object: { metadata: { namespace: user, name: "of-the-broker", labels: broker }, spec: {} } }
]

const leftOut = [
  service("channel", channel),
  configMap(user, "of-the-broker", broker),
  configMap(integration, "of-serving", serving)
]

/** What a ServiceInstance is of, in words that hold in any cluster, and in the old one's. */
const names = { clusterServiceClassExternalName: "redis", clusterServicePlanExternalName: "micro" }
const references = { serviceClassRef: { name: "class-1" }, servicePlanRef: { name: "plan-1" } }

const create = Effect.fnUntraced(function* () {
  const { api } = yield* Stand
  for (const resource of [serviceInstances, serviceBindings, triggers]) {
    yield* api.apply(Objects.crds, definition(resource))
    yield* untilTrue(`${resource.plural} can be listed`, "30 seconds", Effect.as(api.list(resource), true))
  }
  for (const name of namespaces) yield* api.apply(Objects.namespaces, { metadata: { name } })
  for (const { object, resource } of [...kept, ...leftOut]) yield* api.apply(resource, object)
  yield* api.apply(serviceInstances, {
    metadata: { namespace: user, name: "redis" },
    spec: { ...names, ...references }
  })
  yield* api.apply(serviceBindings, { metadata: { namespace: user, name: "redis" }, spec: {} })
  for (const name of ["redis", "other"]) {
    yield* api.apply(Objects.secrets, { metadata: { namespace: user, name }, stringData: { password: "secret" } })
  }
})

const nameOf = ({ object, resource }: (typeof kept)[number]): string =>
  `${resource.kind} ${object.metadata.namespace}/${object.metadata.name}`

/** Those that are there. */
const present = Effect.fnUntraced(function* (objects: typeof kept) {
  const { api } = yield* Stand
  const found = yield* Effect.filter(objects, ({ object: { metadata }, resource }) =>
    Effect.map(api.find(resource, metadata.namespace ?? "", metadata.name), (one) => one !== undefined)
  )
  return found.map(nameOf)
})

const copy = `${user}-copy`

/**
 * Beside the living: a Secret whose owner were in the other namespace would soon be taken for an orphan, and be deleted by the
 * garbage collector. It has its ServiceBinding's copy for an owner where that is there, else none.
 */
const verifyBesideTheLiving = Effect.fnUntraced(function* (backup: Saved<VeleroBackup>) {
  const { api } = yield* Stand
  const mapping = Velero.mapping({ [user]: copy })
  const flags = [mapping, `--include-namespaces=${user}`]
  const first = yield* Velero.restore(backup, ...flags, "--include-resources=secrets")
  yield* Verify.equal("the restore of Secrets beside the living", Velero.outcome(first), "Completed")
  const alone = yield* api.get(Objects.secrets, copy, "redis")
  yield* Verify.equal<unknown>(
    "the owners of a Secret without its ServiceBinding",
    alone.metadata.ownerReferences,
    undefined
  )
  yield* api.remove(Objects.secrets, copy, "redis")

  yield* Velero.restore(backup, ...flags, "--include-resources=servicebindings")
  const second = yield* Velero.restore(backup, ...flags)
  yield* Verify.equal("the restore beside the living", Velero.outcome(second), "Completed")
  const binding = yield* api.get(serviceBindings, copy, "redis")
  const owned = yield* api.get(Objects.secrets, copy, "redis")
  yield* Verify.equal<unknown>(
    "the owner of the Secret beside the living",
    owned.metadata.ownerReferences?.map(({ uid }) => uid),
    [binding.metadata.uid]
  )
})

export const kymaPack: Scenario = {
  name: "kyma-pack",
  expected:
    "ServiceInstances lose the old cluster's references, a Secret is its ServiceBinding's, what Knative makes is left out",
  packs: ["filesystem", "kyma"],
  run: Effect.gen(function* () {
    const { api, restartVelero, velero } = yield* Stand
    yield* create()
    yield* restartVelero
    const backup = yield* Velero.backUp(namespaces)
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")

    yield* verifyBesideTheLiving(backup)
    yield* Effect.forEach(namespaces, Namespace.remove, { discard: true })

    // Velero restores Secrets before anything that it does not know.
    const first = yield* Velero.restore(backup, "--include-resources=serviceinstances,servicebindings")
    yield* Verify.equal("the first restore", Velero.outcome(first), "Completed")
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the second restore", Velero.outcome(restore), "Completed")

    const { spec } = yield* api.get(serviceInstances, user, "redis")
    yield* Verify.equal("the restored ServiceInstance", spec, names)
    const binding = yield* api.get(serviceBindings, user, "redis")
    const owned = yield* api.get(Objects.secrets, user, "redis")
    yield* Verify.equal<unknown>("the owners of the binding's Secret", owned.metadata.ownerReferences, [
      {
        apiVersion: "servicecatalog.k8s.io/v1beta1",
        kind: "ServiceBinding",
        name: "redis",
        uid: binding.metadata.uid,
        controller: true,
        blockOwnerDeletion: true
      }
    ])
    const other = yield* api.get(Objects.secrets, user, "other")
    yield* Verify.equal("the owners of the other Secret", other.metadata.ownerReferences, undefined)
    yield* Verify.equal("what is restored", yield* present(kept), kept.map(nameOf))
    yield* Verify.equal("what should have been left out", yield* present(leftOut), [])

    const logs = yield* velero("restore", "logs", restore.metadata.name)
    for (const line of [
      `Setting owner reference for Secret redis in namespace ${user}`,
      "Couldn't get SB other: ",
      `Ignoring restore of Service ${user}/channel`,
      `Restoring Service ${user}/web`,
      `Ignoring restore of ConfigMap ${integration}/of-serving`,
      `Ignoring restore of ConfigMap ${user}/of-the-broker as it had label eventing.knative.dev/broker:default`
    ]) {
      yield* Verify.that(`the log says: ${line}`, logs.includes(line))
    }
    const firstLogs = yield* velero("restore", "logs", first.metadata.name)
    const removing = `Removing serviceClassRef/servicePlanRef fields from instance redis in namespace ${user}`
    yield* Verify.that(`the first log says: ${removing}`, firstLogs.includes(removing))
    return `${kept.length} of ${kept.length + leftOut.length} objects restored, a ServiceInstance without references, a Secret with its owner`
  })
}
