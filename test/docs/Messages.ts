/**
 * The messages that the CNPG pack can print at warn or above, collected from its sources: what stands literally in calls that log, in
 * notes of decisions, and in the sentences of error classes. An expression in a template is `…`.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { repository } from "../executable/Executable.ts"

/** All that a call of an item action can run through. */
const folders = ["src/cnpg", "src/velero", "src/velero/wire", "src/kubernetes", "src/go-plugin", "src/bin"]

/** Sources that no call of an item action runs through: the host's side, `preview`, and the SDK's other kinds of plugins. */
const others = [
  "src/go-plugin/Client.ts",
  "src/kubernetes/Manifests.ts",
  "src/velero/InitConfig.ts",
  "src/velero/ObjectStore.ts",
  "src/velero/wire/Instances.ts",
  "src/velero/wire/ObjectStores.ts"
]

const sources = (): ReadonlyArray<readonly [file: string, text: string]> =>
  folders
    .flatMap((folder) =>
      Fs.readdirSync(Path.join(repository, folder))
        .filter((file) => file.endsWith(".ts"))
        .map((file) => `${folder}/${file}`)
    )
    .filter((file) => !others.includes(file))
    .map((file) => [
      file,
      Fs.readFileSync(Path.join(repository, file), "utf8")
        .replaceAll(/^ *\/?\*.*$/gm, "")
        .replaceAll(/^ *\/\/.*$/gm, "")
    ])

/** The string or template literal that begins at a place; `undefined`: something else does. */
export const literalAt = (text: string, start: number): string | undefined => {
  const quote = text[start]
  if (quote !== '"' && quote !== "'" && quote !== "`") return undefined
  let literal = ""
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === quote) return literal
    if (text[at] === "\\") literal += text[++at]
    else if (quote === "`" && text.startsWith("${", at)) {
      let depth = 1
      for (at += 2; depth > 0; at++) depth += { "{": 1, "}": -1 }[text[at] ?? ""] ?? 0
      at--
      literal += "…"
    } else literal += text[at]
  }
  return undefined
}

/** One place of a source that prints something. */
export interface Message {
  readonly file: string
  /** `undefined`: it is no literal; then `code` tells what it is. */
  readonly text: string | undefined
  readonly code: string
}

const after = (file: string, text: string, what: RegExp): ReadonlyArray<Message> =>
  [...text.matchAll(what)].map(({ 0: matched, index }) => {
    const end = index + matched.length
    return { file, text: literalAt(text, end), code: text.slice(index, end + 40).split("\n")[0] ?? "" }
  })

/** What is logged at warn or above, and notes of that level. */
const logged =
  /(?<![\w.]|const )(?:warn|Effect\.logWarning|Effect\.logError)\(\s*|\blevel: "warn",\s+message: |\.map\((?=warn\))/g

/** The sentences of an error class; one that has several returns has several. */
const sentences = (file: string, text: string): ReadonlyArray<Message> =>
  [...text.matchAll(/get message\(\) \{\n([\s\S]*?)\n {2}\}/g)].flatMap(([, body = ""]) =>
    after(file, body, /return\s+/g)
  )

/** The part of a file between two declarations. */
const between = (text: string, first: string, last: string): string => {
  const [start, end] = [text.indexOf(`const ${first} =`), text.indexOf(`const ${last} =`)]
  if (start < 0 || end < start) throw new Error(`${first} does not come before ${last}`)
  return text.slice(start, end)
}

/** Values of functions that answer with a problem in words. */
const answers = /(?:\breturn|\?|:|&&)\s+(?=["`](?!"))/g

/**
 * What stands in other messages as a whole: why a Cluster cannot be recovered, and what a
 * backup or a Restore that waits can end with.
 */
const parts: Readonly<Record<string, (file: string, text: string) => ReadonlyArray<Message>>> = {
  // Behind the name of the CNPG Backup.
  "src/cnpg/OnDemandBackup.ts": (file, text) => after(file, text, /\bfailure\(\s*(?:`[^`]*`|"[^"]*"),\s*/g),
  "src/cnpg/OnDemandBackups.ts": (file, text) => after(file, text, /\berror: (?=["`])/g),
  "src/cnpg/RecoveryEnd.ts": (file, text) => [
    ...after(file, text, /\bunreachable\(\s*[^,()]+,\s*/g),
    // Warnings that are handed on.
    ...after(file, text, /(?<=`,\n\s+)(?=`\$\{cluster\} )/g)
  ],
  "src/cnpg/RecoveryPlan.ts": (file, text) => [
    ...after(file, text, /\bproblem: (?=["`])/g),
    ...after(file, between(text, "externalClusterProblem", "checked"), answers)
  ],
  "src/cnpg/RecoveryProgress.ts": (file, text) => after(file, text, /\bconst says =\s*/g),
  "src/cnpg/RecoveryState.ts": (file, text) => [
    ...after(file, between(text, "strange", "isFinished"), answers),
    ...after(file, text, /\bverdict\(\s*"Stalled",\s*/g),
    ...after(file, text, /\breturn failed\((?=["`])/g)
  ]
}

export const messages = (): ReadonlyArray<Message> =>
  sources().flatMap(([file, text]) => [
    ...after(file, text, logged),
    ...sentences(file, text),
    ...(parts[file]?.(file, text) ?? [])
  ])
