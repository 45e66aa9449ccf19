/** What a command of this process prints. */

export interface Printed {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command; nothing else may print meanwhile. */
export const capture = async (run: () => Promise<number>): Promise<Printed> => {
  const printed = { stdout: "", stderr: "" }
  const { log, error } = console
  const write = process.stderr.write
  console.log = (text: unknown) => void (printed.stdout += `${String(text)}\n`)
  console.error = (text: unknown) => void (printed.stderr += `${String(text)}\n`)
  process.stderr.write = ((text: unknown) => {
    printed.stderr += String(text)
    return true
  }) as typeof write
  try {
    const code = await run()
    return { code, ...printed }
  } finally {
    console.log = log
    console.error = error
    process.stderr.write = write
  }
}
