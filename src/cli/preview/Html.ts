/**
 * A preview as one page that is whole by itself, for a review or a change ticket: no script, no network, light and dark, to be printed.
 */
import type { LogLine } from "../../go-plugin/Client.ts"
import type { Preview } from "../Preview.ts"
import type { BaseBackup, ClusterPreview, Statement } from "./Clusters.ts"
import * as Clusters from "./Clusters.ts"
import type { Markup } from "./Markup.ts"
import { html } from "./Markup.ts"
import type { Block } from "./Sections.ts"
import * as Sections from "./Sections.ts"
import { endOf, timeLine, timeText } from "./TimeLine.ts"

/** Who made it, and when. */
export interface Origin {
  readonly program: string
  readonly version: string
  /** RFC 3339. */
  readonly at: string
}

const style = `
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d5dae0;--shade:#f5f6f8;--accent:#0b57a4;--add:#11602b;--add-bg:#e6f4ea;--del:#9a1b1b;--del-bg:#fcebea;--warn:#7a4d00;--warn-bg:#fdf3dc}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e4e7eb;--soft:#9ca6b1;--line:#323942;--shade:#1c2026;--accent:#82b4f5;--add:#8ad9a0;--add-bg:#14301e;--del:#ffaaa3;--del-bg:#3b1918;--warn:#efc46a;--warn-bg:#352a10}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
main{max-width:58rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .4rem;letter-spacing:-.01em}
h2{font-size:1.25rem;line-height:1.3;margin:2.75rem 0 .75rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.5rem 0 .4rem}
p{margin:.4rem 0}
.lede{color:var(--soft);margin-bottom:1.25rem}
.verdict{border-left:4px solid var(--accent);background:var(--shade);padding:.6rem .9rem;margin:1.25rem 0}
.verdict.warn{border-color:var(--warn);background:var(--warn-bg)}
.verdict.error{border-color:var(--del);background:var(--del-bg)}
dl{display:grid;grid-template-columns:9rem 1fr;gap:.25rem 1.25rem;margin:.75rem 0}
dt{color:var(--soft)}
dd{margin:0}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86em}
ul{margin:.4rem 0;padding-left:1.1rem}
li{margin:.3rem 0}
.warn>b,.error>b{font-weight:600}
li.warn{color:var(--warn)}
li.error{color:var(--del)}
details{border:1px solid var(--line);border-radius:6px;margin:.6rem 0;background:var(--paper)}
summary{padding:.5rem .8rem;cursor:pointer}
summary:hover{background:var(--shade)}
details[open]>summary{border-bottom:1px solid var(--line)}
.count{color:var(--soft);font-size:.86em;white-space:nowrap}
.count.add{color:var(--add)}
.count.del{color:var(--del)}
pre{margin:0;padding:.5rem 0;overflow-x:auto;line-height:1.45;overflow-wrap:normal}
pre span{display:block;padding:0 .8rem;min-width:max-content}
pre .add{background:var(--add-bg);color:var(--add)}
pre .del{background:var(--del-bg);color:var(--del)}
pre .same{color:var(--soft)}
pre .note{color:var(--ink)}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;font-weight:500;color:var(--soft)}
th,td{padding:.35rem .8rem;white-space:nowrap;overflow-wrap:normal;border-top:1px solid var(--line);vertical-align:top}
tr:first-child th{border-top:0}
.scroll{overflow-x:auto}
.timeline{overflow-x:auto;margin:1rem 0}
svg{display:block;width:100%;min-width:36rem;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
svg .lane{fill:var(--soft)}
svg .tick{fill:var(--soft);font-size:11px}
svg .label{fill:var(--ink)}
svg .unknown{fill:var(--soft);font-style:italic}
svg .grid{stroke:var(--line)}
svg .axis{stroke:var(--soft)}
svg .usable{fill:var(--paper);stroke:var(--accent);stroke-width:2}
svg .recorded{fill:var(--accent);stroke:var(--accent)}
svg .useless{fill:var(--line);stroke:var(--soft)}
svg .archive{fill:var(--soft);opacity:.55}
svg .velero{fill:var(--ink)}
svg .replay{stroke:var(--accent);stroke-width:4}
svg .end{stroke:var(--accent);stroke-width:3}
.legend{color:var(--soft);font-size:.86rem}
.dot{display:inline-block;width:.65rem;height:.65rem;border-radius:50%;border:2px solid var(--accent);vertical-align:-.04rem;margin-left:.25rem}
.dot.recorded{background:var(--accent)}
.dot.useless{background:var(--line);border:1px solid var(--soft)}
footer{margin-top:3rem;color:var(--soft);font-size:.86rem}
@media (max-width:34rem){main{padding:1.5rem 1rem 3rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--shade:#f4f4f4;--accent:#0b57a4;--add:#11602b;--add-bg:#e6f4ea;--del:#9a1b1b;--del-bg:#fcebea;--warn:#7a4d00;--warn-bg:#fdf3dc}body{font-size:10.5pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}main{max-width:none;padding:0}details::details-content{content-visibility:visible;block-size:auto}h2,h3,summary{break-after:avoid}svg,tr{break-inside:avoid}td:first-child{white-space:normal;overflow-wrap:anywhere}pre{white-space:pre-wrap}pre span{min-width:0}}
`

const facts = (rows: ReadonlyArray<readonly [term: string, description: string | Markup | null]>): Markup =>
  html`<dl>
    ${rows.map(
      ([term, description]) =>
        description !== null &&
        html`<dt>${term}</dt>
          <dd>${description}</dd>`
    )}
  </dl>`

const levelNames = { info: "", warn: "Warning: ", error: "Error: " } as const

const statements = (all: ReadonlyArray<Statement>): Markup =>
  html`<ul>
    ${all.map(({ level, text }) => html`<li class="${level}">${level !== "info" && html`<b>${levelNames[level]}</b>`}${text}</li>`)}
  </ul>`

const lineClass = (line: string): string => {
  if (line.startsWith("+")) return "add"
  if (line.startsWith("-")) return "del"
  return line.startsWith("!") ? "del" : "same"
}

const diff = (lines: ReadonlyArray<string>): Markup =>
  html`<pre>${lines.map((line) => html`<span class="${lineClass(line)}">${line === "" ? " " : line}</span>`)}</pre>`

/** What is changed of some objects. */
const change = ({ lines, names }: Block, isOpen: boolean): Markup => {
  const count = (mark: string) => lines.filter((line) => line.startsWith(mark)).length
  const [added, removed] = [count("+"), count("-")]
  const counts = [
    added > 0 && html` <span class="count add">+${added}</span>`,
    removed > 0 && html` <span class="count del">−${removed}</span>`
  ]
  const content = html`<summary>${Sections.list(names)}${counts}</summary>
    ${diff(lines)}`
  return isOpen ? html`<details open>${content}</details>` : html`<details>${content}</details>`
}

const isOfCluster = ({ names }: Block): boolean => names.some((name) => name.startsWith("Cluster "))

const changes = (title: string, blocks: ReadonlyArray<Block>): Markup | false =>
  blocks.length > 0 &&
  html`<h3>${title}</h3>
    ${blocks.map((block) => change(block, isOfCluster(block)))}`

const backupRows = (backups: ReadonlyArray<BaseBackup>, recorded: string | null): Markup | false =>
  backups.length > 0 &&
  html`<details>
    <summary>CNPG Backups <span class="count">${backups.length}</span></summary>
    <div class="scroll">
      <table>
        <tr>
          <th>Backup</th>
          <th>Id</th>
          <th>Phase</th>
          <th>Method</th>
          <th>Ended</th>
        </tr>
        ${backups.map(
          ({ id, method, name, phase, stoppedAt }) =>
            html`<tr>
              <td>${name}${id !== null && id === recorded && html` <b>recorded</b>`}</td>
              <td class="mono">${id ?? ""}</td>
              <td>${phase ?? ""}</td>
              <td>${method ?? ""}</td>
              <td>${timeText(stoppedAt) ?? ""}</td>
            </tr>`
        )}
      </table>
    </div>
  </details>`

/** What becomes of a Cluster, in a few words. */
const outcomeOf = ({ atRestore, recovery, restoredTo }: ClusterPreview): string => {
  if (atRestore.some(({ level }) => level === "error") && restoredTo === null) return "is not restored"
  if (recovery !== null) return `recovers as ${restoredTo ?? ""}`
  return restoredTo === null ? "is not restored" : `comes to ${restoredTo} without a recovery from an archive`
}

const clusterSection = (cluster: ClusterPreview): Markup => {
  const { archivesUnder, atBackup, atRestore, backups, name, namespace, recorded, recovery } = cluster
  return html`<section>
    <h2>Cluster ${namespace}/${name} ${outcomeOf(cluster)}</h2>
    ${facts([
      [
        "Recorded",
        recorded.serverName === null
          ? "nothing"
          : `server name ${recorded.serverName}, ${recorded.backupId === null ? "no backup" : `backup ${recorded.backupId}`}`
      ],
      ["Backup ended", timeText(recorded.backupEndedAt)],
      ["Stored by Velero", timeText(recorded.storedAt)],
      ["Recoverable from", timeText(recorded.firstRecoverabilityPoint)],
      ["Recovers from", recovery === null ? null : `server name ${recovery.serverName}`],
      ["Recovery ends", recovery === null ? null : endOf(cluster, undefined).text],
      ["Archives under", archivesUnder]
    ])}
    ${timeLine(cluster) ?? false}
    ${
      atBackup.length > 0 &&
      html`<h3>At the backup</h3>
        ${statements(atBackup)}`
    }
    ${
      atRestore.length > 0 &&
      html`<h3>At the restore</h3>
        ${statements(atRestore)}`
    }
    ${backupRows(backups, recorded.backupId)}
  </section>`
}

/** An object that there was not. */
const asAdded = (block: Block): Block => ({ ...block, lines: block.lines.map((line) => `+${line}`) })

const names = (title: string, all: ReadonlyArray<string>): Markup | false =>
  all.length > 0 &&
  html`<h3>${title}</h3>
    <p>${Sections.list(all)}</p>`

const logs = (title: string, lines: ReadonlyArray<LogLine>): Markup | false =>
  lines.length > 0 &&
  html`<details>
    <summary>${title} <span class="count">${lines.length}</span></summary>
    <ul>
      ${lines.map((line) => html`<li class="${line.level}">${Sections.logMessage(line)}</li>`)}
    </ul>
  </details>`

/** What was given, in a sentence. */
const sourceOf = ({ cluster, files, tarball }: Preview): string => {
  const into = cluster === undefined ? "" : `${cluster.name}, namespace ${cluster.namespaces.join(", ")}`
  if (tarball !== undefined)
    return `the backup in ${tarball.file}${into === "" ? "" : `, restored into the cluster of ${into}`}`
  return cluster === undefined ? `the manifests of ${files.join(", ")}` : `the cluster of ${into}`
}

const verdict = (preview: Preview, clusters: ReadonlyArray<ClusterPreview>): Markup => {
  const failed = [...preview.backup.items, ...preview.restore.items].filter(({ error }) => error !== undefined).length
  const warnings = [...preview.backup.logs, ...preview.restore.logs].filter(({ level }) => level === "warn").length
  const recovering = clusters.filter(({ recovery }) => recovery !== null).length
  const level = failed > 0 ? "error" : warnings > 0 ? "warn" : "info"
  const [first, ...rest] = [
    failed > 0 && `an action failed on ${Sections.plural(failed, "item")}`,
    clusters.length === 1 &&
      (recovering === 1 ? "the Cluster recovers from its archive" : "the Cluster does not recover from an archive"),
    clusters.length > 1 &&
      `${recovering} of ${clusters.length} Clusters ${recovering === 1 ? "recovers" : "recover"} from an archive`,
    warnings === 0 ? "no warnings" : Sections.plural(warnings, "warning")
  ].filter((part) => part !== false)
  const text = [first ?? "", ...rest].join("; ")
  return html`<p class="verdict ${level}">${text.charAt(0).toUpperCase() + text.slice(1)}.</p>`
}

/** The page. */
export const page = (preview: Preview, { at, program, version }: Origin): string => {
  const sections = Sections.of(preview)
  const clusters = Clusters.of(preview)
  const { backup, backupAnnotations, cluster, restore, restoreAnnotations, tarball } = preview
  const { asIs, changed, completed, counts, into, kept, made, restored, skipped, written } = sections
  const source = sourceOf(preview)
  const annotations = Object.entries({ ...backupAnnotations, ...restoreAnnotations }).map(
    ([key, value]) => `${key}: ${value}`
  )
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>Preview of a restore: ${source}</title>
        <style>
          ${{ markup: style }}
        </style>
      </head>
      <body>
        <main>
          <header>
            <h1>Preview of a restore</h1>
            <p class="lede">What Velero and its plugins would do with ${source}. Nothing has been changed anywhere.</p>
            ${verdict(preview, clusters)}
            ${facts([
              ["Made", timeText(at)],
              ["By", `${program} ${version}`],
              [
                "Backup",
                tarball === undefined
                  ? `played: ${Sections.plural(backup.items.length, "object")}, ${counts.changed} recorded with more than it has`
                  : `${Sections.plural(Sections.itemsOf(tarball), "item")}, ${Sections.itemsOf(tarball) - tarball.entries.length} of them for no plugin to look at`
              ],
              [
                "Restore",
                `${into}: ${counts.restored} changed, ${counts.skipped} left out, ${asIs.length} as they were${kept.length === 0 ? "" : `, ${kept.length} not restored since they live`}`
              ],
              ["Asked for", annotations.length === 0 ? null : annotations.join(", ")]
            ])}
            ${cluster !== undefined && cluster.unread.length > 0 && statements(cluster.unread.map((why) => ({ level: "warn", text: `not looked at: ${why}` })))}
          </header>
          ${clusters.map(clusterSection)}
          <section>
            <h2>Objects</h2>
            ${changes("Changed by the backup, in what is stored", changed)}
            ${changes("Changed by the restore", restored)}
            ${
              skipped.length > 0 &&
              html`<h3>${Sections.titles.skipped}</h3>
                ${skipped.map(({ lines, names }) => html`<p>${Sections.list(names)}: ${lines.join(" ")}.</p>`)}`
            }
            ${names(Sections.titles.asIs, asIs)} ${names(Sections.titles.kept, kept)}
            ${names(Sections.titles.completed, completed)} ${changes(Sections.titles.made, made.map(asAdded))}
            ${changes(Sections.titles.written, written.map(asAdded))}
          </section>
          <section>
            <h2>Logs</h2>
            ${logs(Sections.titles.backupLog, backup.logs)} ${logs(Sections.titles.restoreLog, restore.logs)}
          </section>
          <footer>Values of Secrets are not shown.</footer>
        </main>
      </body>
    </html> `.markup
}
