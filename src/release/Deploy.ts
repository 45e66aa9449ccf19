/** Files of `deploy/` that follow from others: the ConfigMaps of all settings, and the Helm values of these and of the rights. */
import * as Yaml from "yaml"
import type { Setting } from "../cnpg/Setting.ts"

type AnySetting = Setting<unknown>

interface ConfigMap {
  /** The plugin's name behind the slash. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly settings: ReadonlyArray<AnySetting>
}

/** One for each plugin, as Velero finds it. */
const configMapsOf = (settings: ReadonlyArray<AnySetting>): ReadonlyArray<ConfigMap> =>
  [...new Set(settings.map(({ plugin }) => plugin))].map((plugin) => {
    const own = settings.filter((setting) => setting.plugin === plugin)
    return {
      name: plugin.replace(/^.*\//, ""),
      labels: { "velero.io/plugin-config": "", [plugin]: `${own[0]?.on ?? "Restore"}ItemAction` },
      settings: own
    }
  })

/** Each setting below the first sentence on it, and what it can be. */
const dataOf = (settings: ReadonlyArray<AnySetting>): Yaml.YAMLMap => {
  const map = new Yaml.YAMLMap()
  for (const { default: value, description, key, values } of settings) {
    const pair = new Yaml.Pair(new Yaml.Scalar(key), new Yaml.Scalar(value))
    const [sentence = ""] = /^.*?[.:](?= |$)/.exec(description) ?? [description]
    pair.key.commentBefore = ` ${sentence.replace(/[.:]$/, "")}: ${values}.`
    map.add(pair)
  }
  return map
}

const print = (value: unknown): string => {
  const document = new Yaml.Document(value)
  return document.toString({ lineWidth: 0 })
}

const made = (from: string): string => `# Made from ${from} by npm run made.\n#\n`

const about = `# Configuration of every plugin that has some; each of them works without. The values here are the defaults; what they mean, and
# where else they can be said: docs/configuration.md. They are read once for each backup or restore, so nothing has to be restarted.
`

/** ConfigMaps for `kubectl apply`, in Velero's namespace. */
export const pluginConfig = (settings: ReadonlyArray<AnySetting>): string => {
  const documents = configMapsOf(settings).map(({ labels, name, settings }) =>
    print({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace: "velero", labels },
      data: dataOf(settings)
    })
  )
  return `${made("the list of settings")}${about}#
#   kubectl apply -f deploy/plugin-config.yaml
${documents.join("---\n")}`
}

/** The same as values of Velero's chart. */
export const helmConfig = (settings: ReadonlyArray<AnySetting>): string => {
  const configMaps = Object.fromEntries(
    configMapsOf(settings).map(({ labels, name, settings }) => [name, { labels, data: dataOf(settings) }])
  )
  return `${made("the list of settings")}${about}#
#   helm upgrade --install velero vmware-tanzu/velero -n velero -f your-values.yaml -f deploy/helm/values.yaml -f deploy/helm/values-config.yaml
${print({ configMaps })}`
}

interface RbacObject {
  readonly subjects?: ReadonlyArray<object>
}

/** The rights, for the chart's service account in place of the one that `velero install` makes. */
export const helmRbac = (manifest: string): string => {
  const objects = Yaml.parseAllDocuments(manifest).map((document) => document.toJS() as RbacObject)
  const extraObjects = objects.map(({ subjects, ...object }) => ({
    ...object,
    ...(subjects === undefined ? {} : { subjects: subjects.map((subject) => ({ ...subject, name: "velero-server" })) })
  }))
  return `${made("deploy/rbac.yaml, which has the reasons,")}# Velero without cluster-admin: the plugin has the rights that it needs. What Velero itself needs to back up and restore your objects
# is yours to grant. The service account is the chart's for a release named velero in the namespace velero.
#
#   helm upgrade --install velero vmware-tanzu/velero -n velero -f your-values.yaml -f deploy/helm/values.yaml -f deploy/helm/values-rbac.yaml
${print({ rbac: { clusterAdministrator: false }, extraObjects })}`
}
