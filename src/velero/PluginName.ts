/**
 * Names of plugins, checked as Velero checks them, with Velero's words.
 *
 * A name that Velero refuses makes its *server* exit, so a list of plugins is checked before it is served.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/common/server_mux.go (ValidatePluginName)
 *
 * @module
 */
import * as Data from "effect/Data"
import * as Result from "effect/Result"

/** A name that Velero would refuse. */
export class InvalidPluginName extends Data.TaggedError("InvalidPluginName")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

const accepted = "Accepted format: <DNS subdomain>/<non-empty name>"
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const maximumSubdomain = 253

/** Why a string is no DNS-1123 subdomain, in the words of Kubernetes' `validation.IsDNS1123Subdomain`. */
export const subdomainProblems = (value: string): ReadonlyArray<string> => [
  ...(value.length > maximumSubdomain ? [`must be no more than ${maximumSubdomain} characters`] : []),
  ...(subdomain.test(value)
    ? []
    : [
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
      ])
]

/**
 * `<DNS subdomain>/<name>`, and not among `existing`, which are the names of the same kind.
 *
 * @example
 * ```ts
 * import * as Result from "effect/Result"
 * import * as PluginName from "velero-plugin-cnpg/velero/PluginName"
 *
 * Result.isSuccess(PluginName.validate("example.com/my-plugin", new Set())) // => true
 * Result.isFailure(PluginName.validate("my-plugin", new Set())) // => true
 * ```
 */
export const validate = (name: string, existing: ReadonlySet<string>): Result.Result<string, InvalidPluginName> => {
  const fail = (detail: string) => Result.fail(new InvalidPluginName({ detail }))
  const parts = name.split("/")
  if (parts.length !== 2) {
    return fail(`plugin name must have exactly two parts separated by a \`/\`. ${accepted}. ${name} is invalid`)
  }
  const [prefix = "", rest = ""] = parts
  if (prefix === "" || rest === "")
    return fail(`both parts of the plugin name must be non-empty. ${accepted}. ${name} is invalid`)
  const problems = subdomainProblems(prefix)
  if (problems.length > 0) {
    return fail(
      `first part of the plugin name must be a valid DNS subdomain. ${accepted}. first part ${JSON.stringify(prefix)} is invalid: ${problems.join("; ")}`
    )
  }
  return existing.has(name) ? fail(`plugin name ${name} already exists`) : Result.succeed(name)
}
