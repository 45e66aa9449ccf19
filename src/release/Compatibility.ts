/**
 * `docs/compatibility.md`: which versions were tried together, and what was seen. All of it is made of what `npm run e2e -- --json FILE`
 * has written, but for the list of what each version of Velero and CloudNativePG brings.
 */

/** What ran together. */
export interface Versions {
  readonly velero: string
  readonly cloudNativePg: string
  readonly barmanCloud: string
  readonly kubernetes: string
}

/** One scenario on one pair. */
export interface Result {
  readonly versions: Versions
  readonly scenario: string
  readonly expected: string
  /** What was seen, or each failure, or why it does not apply. */
  readonly seen: ReadonlyArray<string>
  readonly outcome: "passed" | "failed" | "not applicable"
}

/** Something that not every version can do. */
interface Feature {
  readonly feature: string
  /** The first minor version of Velero that this plugin needs for it; or a version of CloudNativePG. */
  readonly from: string
  readonly before: string
}

/**
 * @see https://github.com/vmware-tanzu/velero/releases
 * @see https://github.com/cloudnative-pg/cloudnative-pg/releases
 */
const features: ReadonlyArray<Feature> = [
  {
    feature: "everything but what follows",
    from: "Velero 1.12",
    before:
      "not supported; before 1.11 Velero knows no actions with operations (version 2 of backup and restore item actions), and does not start"
  },
  {
    feature: "`velero-cnpg/item-block-plugin`: what belongs together is backed up together",
    from: "Velero 1.15",
    before: "the plugin does not offer it; the same objects are in the backup"
  },
  {
    feature: "`--annotations` of `velero backup create` and `velero restore create`",
    from: "Velero 1.16",
    before:
      "annotate the Backup or Restore that you `kubectl create`, or use [annotations of the Cluster or the ConfigMap](configuration.md)"
  },
  {
    feature: "restores of statuses (`--status-include-resources`) that leave out those of Clusters",
    from: "Velero 1.16",
    before: "do not restore statuses of CNPG's kinds: the operator waits for instances that are no more"
  },
  {
    feature: "`cnpg.io/validation: disabled`",
    from: "CloudNativePG 1.24.4, 1.25.2, 1.26",
    before: "the operator's webhooks look at every Cluster"
  },
  { feature: "DatabaseRoles", from: "CloudNativePG 1.30", before: "there are none" },
  {
    feature: "archives by the Barman Cloud plugin",
    from: "CloudNativePG 1.26",
    before: "its authors do not support it there; archive in-tree (`spec.backup.barmanObjectStore`)"
  }
]

const keyOf = ({ barmanCloud, cloudNativePg, kubernetes, velero }: Versions): string =>
  [velero, cloudNativePg, barmanCloud, kubernetes].join()

/** In the order in which they come. */
const pairsOf = (results: ReadonlyArray<Result>): ReadonlyArray<Versions> => [
  ...new Map(results.map(({ versions }) => [keyOf(versions), versions])).values()
]

/** Results of another run take the place of those of the same versions and scenario. */
export const merge = <A extends Result>(earlier: ReadonlyArray<A>, later: ReadonlyArray<A>): ReadonlyArray<A> => {
  const name = ({ scenario, versions }: Result): string => `${keyOf(versions)} ${scenario}`
  const replaced = new Set(later.map(name))
  return [...earlier.filter((result) => !replaced.has(name(result))), ...later]
}

/** A table in columns of one width, as the formatter wants it. */
const table = (headings: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string | number>>): string => {
  const lines = [headings, ...rows].map((cells) => cells.map(String))
  const widths = headings.map((_, column) => Math.max(3, ...lines.map((cells) => cells[column]?.length ?? 0)))
  const row = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  const [first = [], ...others] = lines
  return [row(first), row(widths.map((width) => "-".repeat(width))), ...others.map(row)].join("\n")
}

const marks: Readonly<Record<Result["outcome"], string>> = { passed: "yes", failed: "**no**", "not applicable": "–" }

const short = ({ cloudNativePg, velero }: Versions): string => `${velero}, ${cloudNativePg}`

/** A page of Markdown. */
export const render = (results: ReadonlyArray<Result>): string => {
  const pairs = pairsOf(results)
  const of = (versions: Versions) => results.filter((result) => keyOf(result.versions) === keyOf(versions))
  const count = (versions: Versions, outcome: Result["outcome"]) =>
    of(versions).filter((result) => result.outcome === outcome).length
  const scenarios = [...new Map(results.map(({ expected, scenario }) => [scenario, expected]))]
  const others = results.filter(({ outcome }) => outcome !== "passed")
  return `# Compatibility

Made by \`npm run made\` from [what the scenarios on real servers have seen](compatibility.json). [end-to-end.md](end-to-end.md) says what is
real there, and what stands in.

## What was tried together

The first pair with every scenario, the others with those that stand for the rest. Anything between is likely to work; nothing here says so.

${table(
  ["Velero", "CloudNativePG", "Barman Cloud plugin", "Kubernetes", "passed", "failed", "not applicable"],
  pairs.map((versions) => [
    versions.velero,
    versions.cloudNativePg,
    versions.barmanCloud,
    versions.kubernetes,
    count(versions, "passed"),
    count(versions, "failed"),
    count(versions, "not applicable")
  ])
)}

Velero's own plugin for S3 keeps the backups, or the filesystem pack. The executable is the one for amd64.

## What each version brings

${table(
  ["for", "from", "before that"],
  features.map(({ before, feature, from }) => [feature, from, before])
)}

## What was seen

Columns: Velero, CloudNativePG. \`yes\`: as the sentence says; \`–\`: not applicable, for the reason below; empty: not tried.

${table(
  ["scenario", "what is expected", ...pairs.map(short)],
  scenarios.map(([scenario, expected]) => [
    `\`${scenario}\``,
    expected.replaceAll("|", String.raw`\|`),
    ...pairs.map((versions) => {
      const found = of(versions).find((result) => result.scenario === scenario)
      return found === undefined ? "" : marks[found.outcome]
    })
  ])
)}
${
  others.length === 0
    ? ""
    : `
${table(
  ["versions", "scenario", "", ""],
  others.map(({ outcome, scenario, seen, versions }) => [
    short(versions),
    `\`${scenario}\``,
    outcome,
    seen
      .join("; ")
      .replaceAll("|", String.raw`\|`)
      .replaceAll("\n", " ")
  ])
)}
`
}`
}
