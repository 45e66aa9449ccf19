/** A preview, part by part, for whatever shows it. Values of Secrets are hidden here. */
import { structuredPatch } from "diff"
import { isCollection, isScalar, parseDocument, visit } from "yaml"
import type { LogLine } from "../../go-plugin/Client.ts"
import type { KubernetesObject } from "../../testing/ApiServer.ts"
import type { BackedUp, Entry, Restored } from "../../testing/VeleroHost.ts"
import * as Json from "../../velero/Json.ts"
import type { Preview } from "../Preview.ts"
import type { Tarball } from "./Tarball.ts"

interface SecretValues {
  readonly data?: Readonly<Record<string, string>> | null
  readonly stringData?: Readonly<Record<string, string>> | null
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> | null }
}

/** kubectl keeps a copy of what was applied, values included. */
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

/** Values of Secrets do not belong on a screen; which of them differ from `other` does. */
export const hideSecrets = (entry: Entry, other: Entry = entry): string => {
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

/** What the API server keeps for itself, and in a preview has made up: no plugin looks at it, and none of it is restored. */
const withoutBookkeeping = (json: string): string =>
  Json.patch(
    json,
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"].map((field) =>
      Json.remove(["metadata", field])
    )
  )

const contextLines = 2

/** Lines of a diff, each with its mark (`+`, `-` or a space); `…` between distant places. */
const diff = (before: string, after: string): ReadonlyArray<string> =>
  structuredPatch("", "", yaml(withoutBookkeeping(before)), yaml(withoutBookkeeping(after)), "", "", {
    context: contextLines
  }).hunks.flatMap(({ lines }, index) => [...(index === 0 ? [] : ["…"]), ...lines])

/** Something to say of one or more objects. */
export interface Block {
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

/** `Pod shop/a, shop/b` for objects of a kind. */
export const list = (names: ReadonlyArray<string>): string => {
  const byKind = new Map<string, Array<string>>()
  for (const name of names) {
    const space = name.indexOf(" ")
    const kind = name.slice(0, space)
    byKind.set(kind, [...(byKind.get(kind) ?? []), name.slice(space + 1)])
  }
  return [...byKind].map(([kind, objects]) => `${kind} ${objects.join(", ")}`).join("; ")
}

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

export const restoreBlock = (restored: Restored): ReadonlyArray<Block> => {
  const { after, before, error } = restored
  if (error !== undefined) return [{ names: [nameOf(before)], lines: [`! not restored: ${error}`] }]
  if (after === undefined || isKept(restored)) return []
  const plain = withoutPlugins(restored)
  return plain.text === after.text
    ? []
    : [{ names: [nameOf(after)], lines: diff(hideSecrets(plain), hideSecrets(after, plain)) }]
}

/** Why an action left an item out: its own log line about it, without the item's name. */
export const reasonOf = (restored: Restored, logs: ReadonlyArray<LogLine>): string => {
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

const objectName = ({ kind, metadata }: KubernetesObject): string =>
  `${kind} ${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name ?? ""}`

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

export const itemsOf = ({ entries, others }: Tarball): number =>
  entries.length + [...others.values()].reduce((sum, count) => sum + count, 0)

/** The message of a log line, with the error that it carries. */
export const logMessage = ({ fields, message }: LogLine): string =>
  typeof fields["error"] === "string" ? `${message} (${fields["error"].split("\n")[0] ?? ""})` : message

/** What the parts are called. */
export const titles = {
  skipped: "Left out, for the operator to make anew or not at all",
  asIs: "Restored as they were",
  kept: "Not restored by Velero, since they live",
  completed: "Not restored by Velero, since their work is done",
  made: "Written to the cluster by the plugin, at the backup",
  waited: "Waited for, until the backup is completed",
  written: "Written to the cluster by the plugin",
  backupLog: "Log of the backup",
  restoreLog: "Log of the restore"
} as const

/** A preview, part by part. */
export interface Sections {
  /** Where a restore comes to, to go behind `restore`. */
  readonly into: string
  /** Objects, before those of which the same is said become one. */
  readonly counts: { readonly changed: number; readonly restored: number; readonly skipped: number }
  /** Operations that the backup waits for. */
  readonly waited: ReadonlyArray<Block>
  /** Objects that were written at the backup. */
  readonly made: ReadonlyArray<Block>
  /** By the backup. */
  readonly changed: ReadonlyArray<Block>
  /** Otherwise than they were stored. */
  readonly restored: ReadonlyArray<Block>
  readonly skipped: ReadonlyArray<Block>
  readonly asIs: ReadonlyArray<string>
  readonly kept: ReadonlyArray<string>
  readonly completed: ReadonlyArray<string>
  readonly written: ReadonlyArray<Block>
}

const objectBlock = (object: KubernetesObject): Block => ({
  names: [objectName(object)],
  lines: yaml(withoutBookkeeping(JSON.stringify(object)))
    .trimEnd()
    .split("\n")
})

const intoOf = ({ cluster, namespaceMapping, tarball }: Preview): string => {
  const mapping = Object.entries(namespaceMapping)
  if (mapping.length > 0) {
    const beside = tarball === undefined ? ", beside the living one" : ""
    return mapping.map(([from, to]) => `${from} into ${to}${beside}`).join(", ")
  }
  if (tarball === undefined) return "in place, after the objects were lost"
  return cluster === undefined ? "in place" : "into the cluster as it is"
}

/** Takes a preview apart. */
export const of = (preview: Preview): Sections => {
  const { backup, restore, written } = preview
  const changed = backup.items.flatMap(backupBlock)
  const restored = restore.items.flatMap(restoreBlock)
  const skipped = skipBlocks(restore)
  const isAsIs = (item: Restored) => item.after !== undefined && !isKept(item) && restoreBlock(item).length === 0
  const names = (items: ReadonlyArray<Restored>) => items.map(({ before }) => nameOf(before))
  return {
    into: intoOf(preview),
    counts: { changed: changed.length, restored: restored.length, skipped: skipped.length },
    changed: grouped(changed),
    restored: grouped(restored),
    skipped: grouped(skipped),
    asIs: names(restore.items.filter(isAsIs)),
    kept: restore.items.filter(isKept).map(({ after, before }) => nameOf(after ?? before)),
    completed: names(restore.items.filter(({ outcome }) => outcome === "completed")),
    waited: backup.operations.map(({ done, error, item, waitsFor }) => ({
      names: [nameOf(item)],
      lines: [
        `waits: ${waitsFor}`,
        ...(error === null ? [] : [`! fails: ${error}`]),
        ...(done === null || error !== null ? [] : [`then, as is assumed here: ${done}`])
      ]
    })),
    made: backup.written.map(objectBlock),
    written: written.map(objectBlock)
  }
}
