/**
 * Velero's own Helm chart with the values of `deploy/helm`, rendered by Helm and shown to the API server, which stores nothing of it.
 *
 * The chart is in no registry that the suite can ask, so it has to be given.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Yaml from "yaml"
import * as Build from "../Build.ts"
import * as Components from "../Components.ts"
import * as Namespace from "../Namespace.ts"
import type { Anything, Saved } from "../Objects.ts"
import { Processes } from "../Processes.ts"
import type { Scenario } from "../Scenario.ts"
import { readManifests } from "../servers/Servers.ts"
import { Stand, veleroNamespace } from "../Stand.ts"
import * as Verify from "../Verify.ts"
import { apply, createRestricted, inRepository, type PodSpec, restricted, verifyPod } from "./Deploy.ts"

/** What a user has in values of their own. */
const own = {
  configuration: {
    backupStorageLocation: [{ name: "default", provider: "aws", bucket: "backups", config: { region: "eu-central-1" } }]
  },
  credentials: { useSecret: false },
  snapshotsEnabled: false
}

interface Binding extends Saved<Anything> {
  readonly roleRef: { readonly name: string }
  readonly subjects: ReadonlyArray<{ readonly name: string; readonly namespace?: string }>
}

const bindingsOf = (objects: ReadonlyArray<Saved<Anything>>): ReadonlyArray<Binding> =>
  objects.filter((object): object is Binding => object.kind === "ClusterRoleBinding" || object.kind === "RoleBinding")

/** What the chart makes of the user's values and these files of `deploy/helm`. */
const render = Effect.fnUntraced(function* (...files: ReadonlyArray<string>) {
  const { given } = yield* Stand
  const { directory, run } = yield* Processes
  const helm = yield* Build.build(Components.helm)
  const folder = Fs.mkdtempSync(Path.join(directory, "helm-"))
  const [values, rendered] = [Path.join(folder, "values.yaml"), Path.join(folder, "rendered.yaml")]
  Fs.writeFileSync(values, Yaml.stringify(own))
  const valueFiles = [values, ...files.map((file) => inRepository(`deploy/helm/${file}`))].map(
    (file) => `--values=${file}`
  )
  Fs.writeFileSync(
    rendered,
    yield* run(helm.bin("helm"), ["template", "velero", given.chart ?? "", "--namespace=velero", ...valueFiles])
  )
  return readManifests(rendered)
})

/** Whether the API server takes objects; Velero's Deployment in another namespace than that of the stand's. */
const verifyTaken = Effect.fnUntraced(function* (objects: ReadonlyArray<Saved<Anything>>) {
  const { directory } = yield* Processes
  const file = Path.join(directory, "helm-chart.yaml")
  const shown = objects.map((object) =>
    object.kind === "Deployment" ? { ...object, metadata: { ...object.metadata, namespace: restricted } } : object
  )
  Fs.writeFileSync(file, shown.map((object) => Yaml.stringify(object)).join("---\n"))
  yield* Verify.equal(
    "how many of the chart's objects the API server takes",
    (yield* apply(file)).length,
    objects.length
  )
})

export const helmChart: Scenario = {
  name: "helm-chart",
  expected:
    "Velero's chart with deploy/helm: the init container in a restricted namespace, every ConfigMap, the rights for its service account",
  except: (_, { chart }) => (chart === undefined ? "the chart was not given: --chart PATH, from helm pull" : undefined),
  needs: [Components.helm],
  run: Effect.gen(function* () {
    yield* createRestricted
    const objects = yield* render("values.yaml", "values-config.yaml", "values-rbac.yaml")
    yield* verifyTaken(objects)

    const deployment = objects.find(({ kind, metadata }) => kind === "Deployment" && metadata.name === "velero")
    const template = deployment?.spec?.["template"] as {
      readonly spec: PodSpec & { readonly serviceAccountName: string }
    }
    const { spec } = template
    const [init] = spec.initContainers as ReadonlyArray<{ readonly volumeMounts?: ReadonlyArray<object> }>
    yield* Verify.equal("the init container's volume", init?.volumeMounts, [{ name: "plugins", mountPath: "/target" }])
    const [server] = spec.containers as ReadonlyArray<{
      readonly volumeMounts?: ReadonlyArray<{ readonly name: string; readonly mountPath: string }>
    }>
    const mounts = Object.fromEntries((server?.volumeMounts ?? []).map(({ mountPath, name }) => [mountPath, name]))
    yield* Verify.equal("Velero's plugin directory", mounts["/plugins"], "plugins")
    yield* Verify.that(
      "Velero can write to /tmp, where plugins have their sockets",
      "/tmp" in mounts,
      JSON.stringify(mounts)
    )
    // Its service account does not exist in that namespace.
    const { serviceAccountName, ...pod } = spec
    yield* verifyPod("the chart's pod", pod)

    const configured = (all: ReadonlyArray<Saved<Anything>>) =>
      all
        .filter(
          ({ kind, metadata }) => kind === "ConfigMap" && metadata.labels?.["velero.io/plugin-config"] !== undefined
        )
        .map((object) => {
          const { data, metadata } = object as Saved<Anything> & { readonly data?: unknown }
          const plugins = Object.entries(metadata.labels ?? {}).filter(([key]) =>
            /^(velero-cnpg|replicated\.com)\//.test(key)
          )
          return JSON.stringify([plugins, Object.entries(data ?? {}).toSorted()])
        })
        .toSorted()
    yield* Verify.equal(
      "the chart's ConfigMaps of plugins",
      configured(objects),
      configured(readManifests(inRepository("deploy/plugin-config.yaml")))
    )

    const bindings = bindingsOf(objects).filter(({ roleRef }) => roleRef.name === "velero-plugin-cnpg")
    yield* Verify.equal(
      "whom the rights are for",
      bindings.flatMap(({ subjects }) => subjects.map(({ name, namespace }) => `${namespace}/${name}`)),
      [`${veleroNamespace}/${serviceAccountName}`, `${veleroNamespace}/${serviceAccountName}`]
    )
    const isAdministrator = (all: ReadonlyArray<Saved<Anything>>) =>
      bindingsOf(all).some(
        ({ roleRef, subjects }) =>
          roleRef.name === "cluster-admin" && subjects.some(({ name }) => name === serviceAccountName)
      )
    yield* Verify.equal("whether Velero is cluster-admin with values-rbac.yaml", isAdministrator(objects), false)
    yield* Verify.equal("and without it", isAdministrator(yield* render("values.yaml")), true)
    yield* Namespace.remove(restricted)
    return `${objects.length} objects, ${bindings.length} bindings to ${serviceAccountName}`
  })
}
