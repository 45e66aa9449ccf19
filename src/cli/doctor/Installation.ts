/**
 * Which Velero, CloudNativePG and Barman Cloud plugin a cluster has, by its Deployments.
 *
 * An image is known by the last part of its name, which mirrors keep. Whether Velero has this plugin shows in the init containers
 * that fill its plugin directory; `velero plugin get` would say so for certain, but has to create an object for it.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/install/deployment.go
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Kubernetes, type KubernetesError, type KubernetesObject, type Resource } from "../../kubernetes/Kubernetes.ts"
import * as View from "../../velero/View.ts"
import { error, type Finding, warning } from "./Finding.ts"

const deployments: Resource = {
  group: "apps",
  version: "v1",
  resource: "deployments",
  kind: "Deployment",
  namespaced: true
}

const Container = Schema.Struct({
  name: Schema.String,
  image: View.optional(Schema.String),
  command: View.optional(Schema.Array(Schema.String)),
  args: View.optional(Schema.Array(Schema.String)),
  volumeMounts: View.optional(Schema.Array(Schema.Struct({ name: Schema.String, mountPath: Schema.String })))
})
type Container = typeof Container.Type

const Deployment = Schema.Struct({
  metadata: View.Metadata,
  spec: Schema.Struct({
    template: Schema.Struct({
      spec: Schema.Struct({
        containers: Schema.Array(Container),
        initContainers: View.optional(Schema.Array(Container)),
        serviceAccountName: View.optional(Schema.String)
      })
    })
  })
})
type Deployment = typeof Deployment.Type
const decode = Schema.decodeUnknownOption(Deployment)

/** A container of a Deployment. */
export interface Installed {
  readonly namespace: string
  readonly deployment: string
  readonly image: string
  /** The image's tag; `null` where it has but a digest. */
  readonly version: string | null
}

export interface Velero extends Installed {
  readonly serviceAccount: string
  readonly pluginDirectory: string
  /** Init containers that can write to it, in their order. */
  readonly initContainers: ReadonlyArray<{ readonly name: string; readonly image: string }>
}

export interface Installation {
  /** `null`: not found, or nobody may look. */
  readonly velero: Velero | null
  readonly cnpg: ReadonlyArray<Installed>
  readonly barmanCloud: ReadonlyArray<Installed>
  readonly findings: ReadonlyArray<Finding>
}

/** Name and tag of an image, without its registry and digest. */
export const parseImage = (image: string): { readonly name: string; readonly version: string | null } => {
  const last = (image.split("@")[0] ?? "").split("/").at(-1) ?? ""
  const [name = "", version] = last.split(":")
  return { name, version: version || null }
}

const defaultPluginDirectory = "/plugins"

const flagOf = ({ args = [], command = [] }: Container, flag: string): string | undefined => {
  const words = [...(command ?? []), ...(args ?? [])]
  const at = words.indexOf(flag)
  return at < 0 ? words.find((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1) : words[at + 1]
}

const isVeleroServer = ({ args, command, name }: Container): boolean =>
  (name === "velero" || (command ?? []).some((word) => word.endsWith("/velero"))) &&
  [...(command ?? []), ...(args ?? [])].includes("server")

const installed = ({ metadata }: Deployment, { image }: Container): Installed => ({
  namespace: metadata.namespace ?? "",
  deployment: metadata.name,
  image: image ?? "",
  version: parseImage(image ?? "").version
})

const withoutSlash = (path: string): string => path.replace(/\/+$/, "")

const veleroOf = (deployment: Deployment): Velero | undefined => {
  const { containers, initContainers, serviceAccountName } = deployment.spec.template.spec
  const server = containers.find(isVeleroServer)
  if (server === undefined) return undefined
  const pluginDirectory = flagOf(server, "--plugin-dir") ?? defaultPluginDirectory
  const volume = server.volumeMounts?.find(
    ({ mountPath }) => withoutSlash(mountPath) === withoutSlash(pluginDirectory)
  )?.name
  return {
    ...installed(deployment, server),
    serviceAccount: serviceAccountName || "default",
    pluginDirectory,
    initContainers: (initContainers ?? [])
      .filter(({ volumeMounts }) => volumeMounts?.some(({ name }) => name === volume) === true)
      .map(({ image, name }) => ({ name, image: image ?? "" }))
  }
}

/** Whether a version is earlier than 1.12, from which on Velero has the kinds of this plugin. */
const isTooOld = (version: string | null): boolean => {
  const [, major = "", minor = ""] = /^v?(\d+)\.(\d+)/.exec(version ?? "") ?? []
  return major !== "" && (Number(major) < 1 || (Number(major) === 1 && Number(minor) < 12))
}

const plugin = "velero-plugin-cnpg"

const veleroFindings = (namespace: string, velero: Velero | undefined): ReadonlyArray<Finding> => {
  if (velero === undefined) {
    return [
      error(
        `there is no Velero server in namespace ${namespace}. Name its namespace with --velero-namespace, or install Velero`
      )
    ]
  }
  const { deployment, initContainers, pluginDirectory, version } = velero
  const alike = initContainers.filter(({ image, name }) => [name, image].some((text) => text.includes(plugin)))
  return [
    ...(isTooOld(version) ? [error(`Velero ${version} is too old: this plugin needs 1.12 or later`)] : []),
    ...(alike.length < 2
      ? []
      : [
          error(
            `init containers ${alike.map(({ image, name }) => `${name} (${image})`).join(", ")} of Deployment ${namespace}/${deployment} all put ${plugin} into ${pluginDirectory}: the last one's file is what Velero has, or it refuses to start for two plugins of one name. Remove all but one`
          )
        ]),
    ...(alike.length > 0
      ? []
      : [
          error(
            `no init container of Deployment ${namespace}/${deployment} puts ${plugin} into ${pluginDirectory}: add one, as docs/install.md says. Whether it is there by another way tells velero plugin get`
          )
        ])
  ]
}

interface Found {
  velero: Velero | undefined
  readonly cnpg: Array<Installed>
  readonly barmanCloud: Array<Installed>
}

/** Sorts a Deployment in. */
const step =
  (veleroNamespace: string) =>
  (found: Found, object: KubernetesObject): Found => {
    const deployment = Option.getOrUndefined(decode(object))
    if (deployment === undefined) return found
    if (deployment.metadata.namespace === veleroNamespace) found.velero ??= veleroOf(deployment)
    for (const container of deployment.spec.template.spec.containers) {
      const { name } = parseImage(container.image ?? "")
      if (name === "cloudnative-pg") found.cnpg.push(installed(deployment, container))
      if (name === "plugin-barman-cloud") found.barmanCloud.push(installed(deployment, container))
    }
    return found
  }

/** Reads all Deployments; those of Velero's namespace at least. */
export const inspect = (veleroNamespace: string): Effect.Effect<Installation, never, Kubernetes> =>
  Effect.gen(function* () {
    const kubernetes = yield* Kubernetes
    const start = (): Found => ({ velero: undefined, cnpg: [], barmanCloud: [] })
    const list = (namespace?: string) => kubernetes.fold(deployments, { namespace }, start, step(veleroNamespace))
    const asReport = ({ barmanCloud, cnpg, velero }: Found, findings: ReadonlyArray<Finding>): Installation => ({
      velero: velero ?? null,
      cnpg,
      barmanCloud,
      findings: [...veleroFindings(veleroNamespace, velero), ...findings]
    })
    return yield* list().pipe(
      Effect.map((found) =>
        asReport(
          found,
          found.cnpg.length > 0
            ? []
            : [warning("no Deployment has an image that is called cloudnative-pg: is its operator running?")]
        )
      ),
      Effect.catch((everywhere: KubernetesError) =>
        list(veleroNamespace).pipe(
          Effect.map((found) =>
            asReport(found, [
              warning(`which CloudNativePG and Barman Cloud plugin there are is unknown: ${everywhere.message}`)
            ])
          ),
          Effect.catch((problem) =>
            Effect.succeed<Installation>({
              velero: null,
              cnpg: [],
              barmanCloud: [],
              findings: [error(`what is installed is unknown: ${problem.message}`)]
            })
          )
        )
      )
    )
  })
