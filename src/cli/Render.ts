/** A preview as text for people: decisions first, identical ones once. */
import { styleText } from "node:util"
import { structuredPatch } from "diff"
import { isCollection, isScalar, parseDocument, visit } from "yaml"
import type { LogLine } from "../go-plugin/Client.ts"
import type { KubernetesObject } from "../testing/ApiServer.ts"
import type { BackedUp, Entry, Restored } from "../testing/VeleroHost.ts"
import * as Json from "../velero/Json.ts"
import type { Preview } from "./Preview.ts"
import * as Clusters from "./preview/Clusters.ts"
import type { Tarball } from "./preview/Tarball.ts"

/** Colours, or none. */
export interface Style {
  readonly added: (text: string) => string
  readonly removed: (text: string) => string
  readonly faint: (text: string) => string
  readonly strong: (text: string) => string
  readonly warning: (text: string) => string
  readonly failure: (text: string) => string
}

type Format = Parameters<typeof styleText>[0]

/** The style of a terminal; plain text where `colours` is false. */
export const style = (colours: boolean): Style => {
  const paint = (format: Format) => (text: string) =>
    colours ? styleText(format, text, { validateStream: false }) : text
  return {
    added: paint("green"),
    removed: paint("red"),
    faint: paint("dim"),
    strong: paint("bold"),
    warning: paint("yellow"),
    failure: paint(["red", "bold"])
  }
}

interface SecretValues {
  readonly data?: Readonly<Record<string, string>> | null
  readonly stringData?: Readonly<Record<string, string>> | null
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> | null }
}

/** kubectl keeps a copy of what was applied, values included. */
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

/** Values of Secrets do not belong on a screen; which of them differ from `other` does. */
const hideSecrets = (entry: Entry, other: Entry = entry): string => {
  if (entry.kind !== "Secret") return entry.text
  const values = JSON.parse(entry.text) as SecretValues
  const others = JSON.parse(other.text) as SecretValues
  const hide = (field: "data" | "stringData") =>
    Object.entries(values[field] ?? {}).map(([key, value]) =>
      Json.set([field, key], others[field]?.[key] === value ? "<hidden>" : "<hidden, changed>")
    )
  const copies = Object.keys(values.metadata?.annotations ?? {}).filter((key) => key === lastApplied)
  return Json.patch(entry.text, [
    ...hide("data"),
    ...hide("stringData"),
    ...copies.map((key) => Json.set(["metadata", "annotations", key], "<hidden>"))
  ])
}

/** JSON as YAML in block style, numbers spelled as they were. */
export const yaml = (json: string): string => {
  const document = parseDocument(json, { intAsBigInt: true })
  visit(document, (_, node) => {
    if (isCollection(node)) node.flow = false
    else if (isScalar(node)) delete node.type
  })
  return document.toString({ lineWidth: 0 })
}

/** What kubectl does not show either, unless it is asked to. */
const withoutManagedFields = (json: string): string => Json.patch(json, [Json.remove(["metadata", "managedFields"])])

const contextLines = 2

/** Lines of a diff, each with its mark (`+`, `-` or a space); `…` between distant places. */
const diff = (before: string, after: string): ReadonlyArray<string> =>
  structuredPatch("", "", yaml(withoutManagedFields(before)), yaml(withoutManagedFields(after)), "", "", {
    context: contextLines
  }).hunks.flatMap(({ lines }, index) => [...(index === 0 ? [] : ["…"]), ...lines])

/** Something to say of one or more objects. */
interface Block {
  readonly names: ReadonlyArray<string>
  readonly lines: ReadonlyArray<string>
}

/** Blocks that say the same become one. */
const grouped = (blocks: ReadonlyArray<Block>): ReadonlyArray<Block> => {
  const byText = new Map<string, Block>()
  for (const { lines, names } of blocks) {
    // Context differs from object to object; what is said does not.
    const key = lines.filter((line) => !line.startsWith(" ") && line !== "…").join("\n")
    const same = byText.get(key)
    byText.set(key, same === undefined ? { names, lines } : { ...same, names: [...same.names, ...names] })
  }
  return [...byText.values()].map((block) =>
    block.names.length === 1 ? block : { ...block, lines: block.lines.filter((line) => !line.startsWith(" ")) }
  )
}

const nameOf = ({ kind, name, namespace }: Entry): string =>
  `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`

const indent = (lines: ReadonlyArray<string>, by: string): ReadonlyArray<string> => lines.map((line) => by + line)

/** `Pod shop/a, shop/b` for objects of a kind. */
const list = (names: ReadonlyArray<string>): string => {
  const byKind = new Map<string, Array<string>>()
  for (const name of names) {
    const space = name.indexOf(" ")
    const kind = name.slice(0, space)
    byKind.set(kind, [...(byKind.get(kind) ?? []), name.slice(space + 1)])
  }
  return [...byKind].map(([kind, objects]) => `${kind} ${objects.join(", ")}`).join("; ")
}

const painted =
  ({ added, faint, removed }: Style) =>
  (line: string): string => {
    if (line.startsWith("+")) return added(line)
    return line.startsWith("-") ? removed(line) : faint(line)
  }

const renderBlocks = (blocks: ReadonlyArray<Block>, look: Style): ReadonlyArray<string> =>
  grouped(blocks).flatMap(({ lines, names }) => [
    "",
    `  ${look.strong(list(names))}`,
    ...indent(lines.map(painted(look)), "    ")
  ])

const backupBlock = ({ after, before, error }: BackedUp): ReadonlyArray<Block> => {
  if (error !== undefined) return [{ names: [nameOf(before)], lines: [`! not backed up: ${error}`] }]
  if (after === undefined || after.text === before.text) return []
  return [{ names: [nameOf(before)], lines: diff(hideSecrets(before), hideSecrets(after, before)) }]
}

/** The item as Velero would have created it without any plugin. */
const withoutPlugins = ({ after, before }: Restored): Entry =>
  after === undefined || after.namespace === ""
    ? before
    : { ...before, text: Json.patch(before.text, [Json.set(["metadata", "namespace"], after.namespace)]) }

/** Velero restores nothing over what exists, unless it is told to. A Namespace is only there to hold the others. */
const isKept = ({ before, outcome }: Restored): boolean => outcome === "exists" && before.kind !== "Namespace"

const restoreBlock = (restored: Restored): ReadonlyArray<Block> => {
  const { after, before, error } = restored
  if (error !== undefined) return [{ names: [nameOf(before)], lines: [`! not restored: ${error}`] }]
  if (after === undefined || isKept(restored)) return []
  const plain = withoutPlugins(restored)
  return plain.text === after.text
    ? []
    : [{ names: [nameOf(after)], lines: diff(hideSecrets(plain), hideSecrets(after, plain)) }]
}

/** Why an action left an item out: its own log line about it, without the item's name. */
const reasonOf = (restored: Restored, logs: ReadonlyArray<LogLine>): string => {
  const { before, skippedBy } = restored
  const line = logs.find(
    ({ fields }) =>
      fields["name"] === before.name &&
      fields["namespace"] === before.namespace &&
      String(fields["logSource"]).startsWith(`${skippedBy ?? ""}:`)
  )
  return line === undefined ? `left out by ${skippedBy ?? "Velero"}` : line.message.replace(/^.*?: /s, "")
}

const skipBlocks = ({ items, logs }: Preview["restore"]): ReadonlyArray<Block> =>
  items
    .filter(({ outcome }) => outcome === "skipped")
    .map((restored) => ({ names: [nameOf(restored.before)], lines: [`because ${reasonOf(restored, logs)}`] }))

const logText = ({ fields, level, message }: LogLine, { failure, faint, warning }: Style): string => {
  const mark = { trace: faint, debug: faint, info: faint, warn: warning, error: failure }[level]
  const error = typeof fields["error"] === "string" ? ` (${fields["error"].split("\n")[0] ?? ""})` : ""
  return `  ${mark(level.padEnd(5))} ${message}${error}`
}

const objectName = ({ kind, metadata }: KubernetesObject): string =>
  `${kind} ${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name ?? ""}`

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const withoutBookkeeping = (object: KubernetesObject): string => {
  const { creationTimestamp: _c, managedFields: _m, resourceVersion: _r, uid: _u, ...metadata } = object.metadata
  return JSON.stringify({ ...object, metadata })
}

const itemsOf = ({ entries, others }: Tarball): number =>
  entries.length + [...others.values()].reduce((sum, count) => sum + count, 0)

/** What the backup recorded, read off the tarball that it left. */
const tarballLines = (preview: Preview, tarball: Tarball, look: Style): ReadonlyArray<string> => {
  const marks = { info: look.faint, warn: look.warning, error: look.failure }
  return [
    look.strong(
      `Backup: ${plural(itemsOf(tarball), "item")} in ${tarball.file}, ${itemsOf(tarball) - tarball.entries.length} of them for no plugin to look at`
    ),
    "",
    ...Clusters.of(preview).flatMap(({ atBackup }) =>
      atBackup.map(({ level, text }) => `  ${marks[level](level.padEnd(5))} ${text}`)
    )
  ]
}

/** The cluster that was read, and what of it could not be. */
const clusterLines = (
  { name, namespaces, unread }: NonNullable<Preview["cluster"]>,
  look: Style
): ReadonlyArray<string> => [
  look.strong(`Cluster: ${name}, ${namespaces.length === 1 ? "namespace" : "namespaces"} ${namespaces.join(", ")}`),
  "",
  ...unread.map((why) => `  ${look.warning("warn ")} not looked at: ${why}`),
  ...(unread.length === 0 ? [] : [""])
]

/** The whole preview. */
export const render = (preview: Preview, look: Style): string => {
  const { backup, cluster, namespaceMapping, restore, tarball, written } = preview
  const changed = backup.items.flatMap(backupBlock)
  const restored = restore.items.flatMap(restoreBlock)
  const skipped = skipBlocks(restore)
  const kept = restore.items.filter(isKept)
  const asIs = restore.items.filter(
    (item) => item.after !== undefined && !isKept(item) && restoreBlock(item).length === 0
  )
  const completed = restore.items.filter(({ outcome }) => outcome === "completed")
  const mapping = Object.entries(namespaceMapping)
  const into =
    mapping.length === 0
      ? tarball === undefined
        ? "in place, after the objects were lost"
        : cluster === undefined
          ? "in place"
          : "into the cluster as it is"
      : mapping
          .map(([from, to]) => `${from} into ${to}${tarball === undefined ? ", beside the living one" : ""}`)
          .join(", ")
  return [
    ...(cluster === undefined ? [] : clusterLines(cluster, look)),
    ...(tarball === undefined
      ? [
          look.strong(
            `Backup: ${plural(backup.items.length, "object")}, ${changed.length} recorded with more than it has`
          ),
          ...renderBlocks(changed, look)
        ]
      : tarballLines(preview, tarball, look)),
    "",
    look.strong(
      `Restore ${into}: ${restored.length} changed, ${skipped.length} left out, ${asIs.length} as they were${kept.length === 0 ? "" : `, ${kept.length} not restored since they live`}`
    ),
    ...renderBlocks(restored, look),
    ...(skipped.length === 0 ? [] : ["", look.strong("Left out, for the operator to make anew or not at all")]),
    ...renderBlocks(skipped, look),
    ...(asIs.length === 0
      ? []
      : ["", look.strong("Restored as they were"), `  ${list(asIs.map(({ before }) => nameOf(before)))}`]),
    ...(kept.length === 0
      ? []
      : [
          "",
          look.strong("Not restored by Velero, since they live"),
          `  ${list(kept.map(({ after, before }) => nameOf(after ?? before)))}`
        ]),
    ...(completed.length === 0
      ? []
      : [
          "",
          look.strong("Not restored by Velero, since their work is done"),
          `  ${list(completed.map(({ before }) => nameOf(before)))}`
        ]),
    ...(written.length === 0 ? [] : ["", look.strong("Written to the cluster by the plugin")]),
    ...written.flatMap((object) => [
      "",
      `  ${look.strong(objectName(object))}`,
      ...indent(yaml(withoutBookkeeping(object)).trimEnd().split("\n"), "    ").map(look.added)
    ]),
    "",
    ...(tarball === undefined
      ? [look.strong("Log of the backup"), ...backup.logs.map((line) => logText(line, look)), ""]
      : []),
    look.strong("Log of the restore"),
    ...restore.logs.map((line) => logText(line, look)),
    ""
  ].join("\n")
}

/** The same as data, for programs: Secrets are hidden here too. */
export const toJson = (preview: Preview): unknown => {
  const { backup, cluster, namespaceMapping, restore, tarball, written } = preview
  const tree = (entry: Entry | undefined): unknown => (entry === undefined ? null : JSON.parse(hideSecrets(entry)))
  const identity = ({ kind, name, namespace, resource }: Entry) => ({ resource, kind, namespace, name })
  return {
    namespaceMapping,
    tarball:
      tarball === undefined
        ? null
        : {
            file: tarball.file,
            version: tarball.version,
            items: itemsOf(tarball),
            others: Object.fromEntries(tarball.others)
          },
    cluster: cluster ?? null,
    clusters: Clusters.of(preview),
    backup: {
      items: backup.items.map(({ actions, after, before, error }) => ({
        ...identity(before),
        actions,
        changed: after !== undefined && after.text !== before.text,
        error: error ?? null,
        before: tree(before),
        after: tree(after)
      })),
      logs: backup.logs
    },
    restore: {
      items: restore.items.map((item) => ({
        ...identity(item.before),
        actions: item.actions,
        outcome: item.outcome,
        reason: item.outcome === "skipped" ? reasonOf(item, restore.logs) : null,
        changed: restoreBlock(item).length > 0,
        error: item.error ?? null,
        before: tree(item.before),
        after: tree(item.after)
      })),
      logs: restore.logs
    },
    written
  }
}
