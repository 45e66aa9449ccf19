/** A preview as text for people: decisions first, identical ones once. */
import { styleText } from "node:util"
import type { LogLine } from "../go-plugin/Client.ts"
import type { Entry } from "../testing/VeleroHost.ts"
import type { Preview } from "./Preview.ts"
import * as Clusters from "./preview/Clusters.ts"
import type { Block } from "./preview/Sections.ts"
import * as Sections from "./preview/Sections.ts"
import { hideSecrets, itemsOf, list, plural, reasonOf, restoreBlock } from "./preview/Sections.ts"
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

const indent = (lines: ReadonlyArray<string>, by: string): ReadonlyArray<string> => lines.map((line) => by + line)

const painted =
  ({ added, faint, removed }: Style) =>
  (line: string): string => {
    if (line.startsWith("+")) return added(line)
    return line.startsWith("-") ? removed(line) : faint(line)
  }

const renderBlocks = (blocks: ReadonlyArray<Block>, look: Style): ReadonlyArray<string> =>
  blocks.flatMap(({ lines, names }) => [
    "",
    `  ${look.strong(list(names))}`,
    ...indent(lines.map(painted(look)), "    ")
  ])

const logText = (line: LogLine, { failure, faint, warning }: Style): string => {
  const mark = { trace: faint, debug: faint, info: faint, warn: warning, error: failure }[line.level]
  return `  ${mark(line.level.padEnd(5))} ${Sections.logMessage(line)}`
}

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
  const { backup, cluster, restore, tarball } = preview
  const { asIs, changed, completed, counts, into, kept, made, restored, skipped, waited, written } =
    Sections.of(preview)
  const names = (title: string, all: ReadonlyArray<string>): ReadonlyArray<string> =>
    all.length === 0 ? [] : ["", look.strong(title), `  ${list(all)}`]
  const objects = (title: string, blocks: ReadonlyArray<Block>): ReadonlyArray<string> =>
    blocks.length === 0
      ? []
      : [
          "",
          look.strong(title),
          ...blocks.flatMap(({ lines, names }) => [
            "",
            `  ${look.strong(list(names))}`,
            ...indent(lines, "    ").map(look.added)
          ])
        ]
  return [
    ...(cluster === undefined ? [] : clusterLines(cluster, look)),
    ...(tarball === undefined
      ? [
          look.strong(
            `Backup: ${plural(backup.items.length, "object")}, ${counts.changed} recorded with more than it has`
          ),
          ...renderBlocks(changed, look),
          ...(waited.length === 0 ? [] : ["", look.strong(Sections.titles.waited)]),
          ...renderBlocks(waited, look),
          ...objects(Sections.titles.made, made)
        ]
      : tarballLines(preview, tarball, look)),
    "",
    look.strong(
      `Restore ${into}: ${counts.restored} changed, ${counts.skipped} left out, ${asIs.length} as they were${kept.length === 0 ? "" : `, ${kept.length} not restored since they live`}`
    ),
    ...renderBlocks(restored, look),
    ...(skipped.length === 0 ? [] : ["", look.strong(Sections.titles.skipped)]),
    ...renderBlocks(skipped, look),
    ...names(Sections.titles.asIs, asIs),
    ...names(Sections.titles.kept, kept),
    ...names(Sections.titles.completed, completed),
    ...objects(Sections.titles.written, written),
    "",
    ...(tarball === undefined
      ? [look.strong(Sections.titles.backupLog), ...backup.logs.map((line) => logText(line, look)), ""]
      : []),
    look.strong(Sections.titles.restoreLog),
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
      operations: backup.operations.map(({ done, error, item, waitsFor }) => ({
        ...identity(item),
        waitsFor,
        done,
        error
      })),
      written: backup.written,
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
