import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { KubernetesObject } from "../../src/testing/ApiServer.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import { bytesOf, executableOf, restore, start } from "../example/Host.ts"
import { run } from "../executable/Executable.ts"

const names = [
  "kyma-project.io/instances-restore-plugin",
  "kyma-project.io/secrets-restore-plugin",
  "kyma-project.io/nats-channels-restore-plugin",
  "kyma-project.io/knative-kyma-integration-restore-plugin",
  "kyma-project.io/by-label-restore-plugin"
] as const
const secretsPlugin = names[1]

const object = (
  apiVersion: string,
  kind: string,
  namespace: string | undefined,
  name: string,
  { labels, ...rest }: { readonly labels?: Readonly<Record<string, string>>; readonly [key: string]: unknown } = {}
): KubernetesObject => ({
  apiVersion,
  kind,
  metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(labels === undefined ? {} : { labels }) },
  ...rest
})

const binding: KubernetesObject = {
  apiVersion: "servicecatalog.k8s.io/v1beta1",
  kind: "ServiceBinding",
  metadata: { name: "redis", namespace: "orders", uid: "uid-of-redis" }
}
const secret = object("v1", "Secret", "orders", "redis", { data: { password: "czNjcmV0" } })
const other = object("v1", "Secret", "orders", "other", { data: {} })

const broker = { labels: { "eventing.knative.dev/broker": "default" } }

const execute = (manager: VeleroHost.Manager, plugin: string, item: KubernetesObject) =>
  Effect.flatMap(manager.client, ({ restoreItemAction }) =>
    restoreItemAction.execute({
      plugin,
      item: bytesOf(item),
      itemFromBackup: bytesOf(item),
      restore: bytesOf(restore)
    })
  )

describe("velero-plugin-kyma", () => {
  it.live("offers Kyma's five actions, all of the first version, under the path that Velero started", () =>
    Effect.gen(function* () {
      const { plugins } = yield* start("kyma")
      assert.deepStrictEqual(
        yield* plugins,
        names.map((name) => ({ command: executableOf("kyma"), kind: "RestoreItemAction", name }))
      )
    })
  )

  it.live("tells Velero the selectors of the Go originals", () =>
    Effect.gen(function* () {
      const { process } = yield* start("kyma")
      const selectors = yield* process(({ client }) =>
        Effect.flatMap(client, ({ restoreItemAction }) =>
          Effect.forEach(names, (plugin) =>
            Effect.map(restoreItemAction.appliesTo({ plugin }), ({ ResourceSelector }) => ResourceSelector)
          )
        )
      )
      const none = {
        includedNamespaces: [],
        excludedNamespaces: [],
        includedResources: [],
        excludedResources: [],
        selector: ""
      }
      assert.deepStrictEqual(selectors, [
        { ...none, includedResources: ["serviceinstance"] },
        { ...none, includedResources: ["secret"] },
        { ...none, includedResources: ["services"] },
        { ...none, includedNamespaces: ["kyma-integration"] },
        {
          ...none,
          excludedNamespaces: ["kyma-system", "knative-eventing", "knative-serving", "istio-system"],
          excludedResources: ["trigger.eventing.knative.dev"]
        }
      ])
    })
  )

  it.live("restores a cluster as Kyma's own plugins did", () =>
    Effect.gen(function* () {
      const instance = object("servicecatalog.k8s.io/v1beta1", "ServiceInstance", "orders", "redis", {
        spec: { serviceClassExternalName: "redis", serviceClassRef: { name: "c" }, servicePlanRef: { name: "p" } }
      })
      const channel = object("v1", "Service", "kyma-system", "channel", {
        labels: { "messaging.knative.dev/role": "natss-channel" }
      })
      const revision = object("v1", "Pod", "kyma-integration", "revision", { labels: { "serving.knative.dev/a": "b" } })
      const elsewhere = object("v1", "Pod", "orders", "revision", { labels: { "serving.knative.dev/a": "b" } })
      const ingress = object("v1", "Pod", "orders", "ingress", broker)
      const system = object("v1", "Pod", "kyma-system", "ingress", broker)
      const trigger = object("eventing.knative.dev/v1alpha1", "Trigger", "orders", "created", broker)
      const clusterRole = object("rbac.authorization.k8s.io/v1", "ClusterRole", undefined, "broker", broker)
      const items = [instance, secret, other, channel, revision, elsewhere, ingress, system, trigger, clusterRole]

      const { cluster, line, logs, plugins, process } = yield* start("kyma", { objects: [binding] })
      const listed = yield* plugins
      const entries = items.map((item) => VeleroHost.entryOf(JSON.stringify(item)))
      const restored = yield* process((manager) =>
        VeleroHost.restore(manager, listed, entries, cluster, { name: "again" })
      )
      yield* line("Ignoring restore of Pod orders/ingress")

      const outcomes = Object.fromEntries(
        restored.map(({ before, outcome, skippedBy }) => [
          `${before.resource} ${before.namespace}/${before.name}`,
          [outcome, skippedBy]
        ])
      )
      assert.deepStrictEqual(outcomes, {
        "serviceinstances.servicecatalog.k8s.io orders/redis": ["created", undefined],
        "secrets orders/redis": ["created", undefined],
        "secrets orders/other": ["created", undefined],
        "services kyma-system/channel": ["skipped", "kyma-project.io/nats-channels-restore-plugin"],
        "pods kyma-integration/revision": ["skipped", "kyma-project.io/knative-kyma-integration-restore-plugin"],
        "pods orders/revision": ["created", undefined],
        "pods orders/ingress": ["skipped", "kyma-project.io/by-label-restore-plugin"],
        "pods kyma-system/ingress": ["created", undefined],
        "triggers.eventing.knative.dev orders/created": ["created", undefined],
        "clusterroles.rbac.authorization.k8s.io /broker": ["created", undefined]
      })
      const created = (kind: string, name: string): unknown =>
        JSON.parse(
          restored.find(({ before }) => before.kind === kind && before.name === name)?.after?.text ?? "null"
        ) as unknown
      assert.deepStrictEqual(created("ServiceInstance", "redis"), {
        ...instance,
        spec: { serviceClassExternalName: "redis" }
      })
      assert.deepStrictEqual(created("Secret", "other"), other)
      const controller = {
        apiVersion: "servicecatalog.k8s.io/v1beta1",
        blockOwnerDeletion: true,
        controller: true,
        kind: "ServiceBinding",
        name: "redis",
        uid: "uid-of-redis"
      }
      assert.deepStrictEqual(created("Secret", "redis"), {
        ...secret,
        metadata: { ...secret.metadata, ownerReferences: [controller] }
      })

      const messages = logs().map(({ message }) => message)
      for (const expected of [
        "Removing serviceClassRef/servicePlanRef fields from instance redis in namespace orders",
        "Setting owner reference for Secret redis in namespace orders",
        `Couldn't get SB other: servicebindings.servicecatalog.k8s.io "other" not found`,
        "Ignoring restore of Service kyma-system/channel",
        "Ignoring restore of Pod kyma-integration/revision",
        "Ignoring restore of Pod orders/ingress as it had label eventing.knative.dev/broker:default",
        "Restoring Pod orders/revision"
      ]) {
        assert.include(messages, expected)
      }
      assert.isTrue(logs().every(({ level }) => level === "info"))
      assert.deepInclude(logs().find(({ message }) => message.startsWith("Setting owner"))?.fields, {
        restore: "velero/again",
        resource: "Secret",
        namespace: "orders",
        name: "redis",
        logSource: `${secretsPlugin}:report`
      })
    })
  )
})

describe("by hand", () => {
  it.live("shows what it would do to manifests", () =>
    Effect.gen(function* () {
      const channel = object("v1", "Service", "orders", "channel", {
        labels: { "messaging.knative.dev/role": "natss-channel" }
      })
      const { code, stdout } = yield* run({
        command: executableOf("kyma"),
        args: ["preview", "-"],
        env: { TMPDIR: "/tmp" },
        stdin: JSON.stringify(channel)
      })
      assert.strictEqual(code, 0)
      assert.include(stdout, "1 left out")
      assert.include(stdout, "because Ignoring restore of Service orders/channel")
    })
  )

  it.live("says that it is a plugin", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run({ command: executableOf("kyma") })
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.include(stderr, "This binary is a plugin")
    })
  )
})

describe("where the ServiceBinding cannot be had", () => {
  it.live("because nothing serves any, the Secret is restored as it is", () =>
    Effect.gen(function* () {
      const { line, process } = yield* start("kyma")
      const answer = yield* process((manager) => execute(manager, secretsPlugin, secret))
      assert.deepStrictEqual([answer.item, answer.skipRestore], [Buffer.from(bytesOf(secret)), false])
      assert.match(
        (yield* line("Couldn't get SB redis")).message,
        /^Couldn't get SB redis: the API server does not serve servicebindings\.servicecatalog\.k8s\.io/
      )
    })
  )

  it.live("because Velero may not, the item fails, says what to grant, and the next one does not", () =>
    Effect.gen(function* () {
      const { process } = yield* start("kyma", {
        objects: [binding],
        authorize: ({ name }) => name !== "redis"
      })
      yield* process((manager) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(execute(manager, secretsPlugin, secret))
          assert.match(
            error.message,
            /may not get servicebindings\.servicecatalog\.k8s\.io orders\/redis.*Grant the verb get/
          )
          assert.isFalse((yield* execute(manager, secretsPlugin, other)).skipRestore)
        })
      )
    })
  )

  it.live("because the API server does not answer, the item fails at its deadline", () =>
    Effect.gen(function* () {
      const { cluster, process } = yield* start("kyma", {
        objects: [binding],
        env: { KUBERNETES_CALL_TIMEOUT: "300 millis" }
      })
      cluster.addFault({ path: /servicebindings/, answer: "hang" })
      const error = yield* Effect.flip(process((manager) => execute(manager, secretsPlugin, secret)))
      assert.match(error.message, /servicebindings.*orders\/redis: the Kubernetes API server cannot be reached/)
    })
  )

  it.live("because there is no cluster, the item fails in the words of the Go original", () =>
    Effect.gen(function* () {
      const { process } = yield* start("kyma", { env: { KUBECONFIG: undefined } })
      const error = yield* Effect.flip(process((manager) => execute(manager, secretsPlugin, secret)))
      assert.match(error.message, /^while creating ServiceCatalog client: no Kubernetes cluster is configured/)
    })
  )
})

describe("the log level", () => {
  it.live.each([
    { env: {}, args: [], levels: ["info"] },
    { env: { LOG_LEVEL: "debug" }, args: [], levels: ["debug", "info"] },
    { env: { LOG_LEVEL: "debug" }, args: ["--log-level", "info"], levels: ["info"] },
    { env: { LOG_LEVEL: "error" }, args: [], levels: [] },
    { env: {}, args: ["--features=EnableCSI", "--log-level=debug"], levels: ["debug", "info"] }
  ])("is the flag's, or else the variable's: %j", ({ args, env, levels }) =>
    Effect.gen(function* () {
      const { logs, process } = yield* start("kyma", { args, env })
      yield* process((manager) => execute(manager, names[4], secret))
      assert.deepStrictEqual([...new Set(logs().map(({ level }) => level))].toSorted(), levels)
    })
  )
})
