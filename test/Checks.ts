/** Checks of a script: a line for each, and at the end the one line that CI reads. */
import * as Fs from "node:fs"

const results: Array<boolean> = []

/** Looks, and says what it saw, or why it failed, and how long that took. */
export const check = (what: string, look: () => string | void): void => {
  const started = performance.now()
  const say = (mark: string, text: string) =>
    console.log(
      `${mark} ${what} (${((performance.now() - started) / 1000).toFixed(1)} s)${text === "" ? "" : `: ${text}`}`
    )
  try {
    say("✓", look() ?? "")
    results.push(true)
  } catch (error) {
    say("✗", error instanceof Error ? error.message : String(error))
    results.push(false)
  }
}

/** Runs all checks, removes their directory, and ends the process: with 1 where one failed, or there was none. */
export const runChecks = (directory: string, all: () => void): never => {
  try {
    all()
  } finally {
    Fs.rmSync(directory, { recursive: true, force: true })
  }
  const failed = results.filter((passed) => !passed).length
  console.log(`\n${results.length - failed} passed, ${failed} failed`)
  process.exit(failed === 0 && results.length > 0 ? 0 : 1)
}
