/** `NOTICE`: who wrote what is in the executable, and under which licence. */
import type { BundledPackage } from "./Bundled.ts"

export interface Runtime {
  readonly version: string
  /** Bun's own page on its licence and those of the libraries that are linked into it. */
  readonly licence: string
}

const line = "-".repeat(80)

/** Whether two texts are the same but for line breaks and such. */
const keyOf = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, " ")

const isCopyright = (text: string): boolean => /^\W*(portions )?copyright\b.*(\d{4}|\(c\)|©)/i.test(text)

/** The lines that name the authors, and the rest of a licence. */
const split = (text: string): { readonly copyrights: ReadonlyArray<string>; readonly body: string } => {
  const lines = text.split("\n")
  return {
    copyrights: lines.filter(isCopyright).map((each) => each.trim()),
    body: lines
      .filter((each) => !isCopyright(each))
      .join("\n")
      .replaceAll(/\n{3,}/g, "\n\n")
      .trim()
  }
}

interface Group {
  readonly body: string
  readonly packages: Array<{ readonly title: string; readonly copyrights: ReadonlyArray<string> }>
}

/** One text for all packages that have it word for word, below the packages and their copyright lines. */
const group = (packages: ReadonlyArray<BundledPackage>): ReadonlyArray<Group> => {
  const groups = new Map<string, Group>()
  for (const { licence, name, texts, version } of packages) {
    for (const text of texts) {
      const { body, copyrights } = split(text)
      const found = groups.get(keyOf(body)) ?? { body, packages: [] }
      found.packages.push({ title: `${name} ${version} (${licence})`, copyrights })
      groups.set(keyOf(body), found)
    }
  }
  return [...groups.values()]
}

/** A page of Markdown as plain text: without front matter, links by their address. */
const plain = (page: string): string =>
  page
    .replace(/^---\n[\s\S]*?\n---\n/, "")
    .replaceAll(/\[`?([^\]`]+)`?\]\(([^)]+)\)/g, "$1 <$2>")
    .replaceAll(/ {2,}\|/g, " |")
    .replaceAll(/-{4,}/g, "---")
    .trim()

export const render = (packages: ReadonlyArray<BundledPackage>, runtime: Runtime): string =>
  `velero-plugin-cnpg

Licensed under the Apache License, version 2.0; see LICENSE.

The executable holds the Bun ${runtime.version} runtime and modules of ${packages.length} packages. Their licences follow. The text of a
licence that several packages share word for word is there once. \`npm run made\` writes this file.

${group(packages)
  .map(({ body, packages }) =>
    [
      line,
      "",
      ...packages.flatMap(({ copyrights, title }) => [title, ...copyrights.map((each) => `  ${each}`)]),
      "",
      body,
      ""
    ].join("\n")
  )
  .join("\n")}
${line}

Bun ${runtime.version} (MIT)

${plain(runtime.licence)}
`
