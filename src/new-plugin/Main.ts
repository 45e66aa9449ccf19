#!/usr/bin/env node
/** The command line of `NewPlugin.ts`. */
import * as Result from "effect/Result"
import { run } from "./NewPlugin.ts"

// npm runs scripts in the package's folder, wherever they were called from.
const outcome = run(process.argv.slice(2), process.env["INIT_CWD"] ?? process.cwd())
process.stderr.write(Result.isFailure(outcome) ? `new-plugin: ${outcome.failure}\n` : `${outcome.success}\n`)
process.exitCode = Result.isFailure(outcome) ? 1 : 0
