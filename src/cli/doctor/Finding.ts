/** What the doctor has to say. All of a report is plain data, which `--output json` prints as it is. */

export interface Finding {
  /** `error`: a restore would not recover a Cluster, or nothing can tell whether it would. */
  readonly level: "error" | "warning"
  /** What is wrong and what to do. */
  readonly message: string
}

export const error = (message: string): Finding => ({ level: "error", message })
export const warning = (message: string): Finding => ({ level: "warning", message })
