/** Ends a run with the one line that CI reads: `412 passed, 0 failed`, and `, 3 skipped` where tests were. */
import type { Reporter, TestModule } from "vitest/node"

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<unknown>): void {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state))
    const count = (state: string) => states.filter((each) => each === state).length
    // A file that does not load and an error outside of any test have no test of their own.
    const broken = modules.filter((module) => module.errors().length > 0).length + errors.length
    const skipped = count("skipped")
    const line = `${count("passed")} passed, ${count("failed") + count("pending") + broken} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`
    // Vitest has more to say after its reporters.
    process.once("exit", () => console.log(line))
  }
}
