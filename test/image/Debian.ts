/** Root file systems from Debian's packages, by the mirror that this machine has. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { once, run } from "./Tools.ts"

const mirror = (): string => {
  const found = run("apt-get", ["indextargets", "--format", "$(REPO_URI)"])
    .split("\n")
    .find((uri) => /\/debian\/?$/.test(uri))
  if (found === undefined) throw new Error("this machine's apt knows no Debian mirror")
  return found
}

export type Release = "bullseye" | "bookworm"
export type Architecture = "amd64" | "arm64"

/**
 * glibc alone, as the package `libc6` has it. apt gets files of its own, so that this machine's stay as they are; it checks the
 * packages by the release's signature.
 */
export const libc = (release: Release, architecture: Architecture): string =>
  once(`libc6-${release}-${architecture}`, (directory) => {
    const apt = Path.join(directory, "apt")
    for (const each of ["lists/partial", "archives/partial", "etc"])
      Fs.mkdirSync(Path.join(apt, each), { recursive: true })
    Fs.writeFileSync(
      Path.join(apt, "sources.list"),
      `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror()} ${release} main\n`
    )
    Fs.writeFileSync(Path.join(apt, "status"), "")
    const settings = {
      "APT::Architecture": architecture,
      "APT::Architectures": architecture,
      "APT::Sandbox::User": "root",
      "Dir::Etc::SourceList": Path.join(apt, "sources.list"),
      "Dir::Etc::SourceParts": "-",
      "Dir::State::Lists": Path.join(apt, "lists"),
      "Dir::State::status": Path.join(apt, "status"),
      "Dir::Cache::Archives": Path.join(apt, "archives"),
      "Dir::Cache::pkgcache": "",
      "Dir::Cache::srcpkgcache": ""
    }
    const options = Object.entries(settings).map(([key, value]) => `-o${key}=${value}`)
    run("apt-get", [...options, "update"])
    run("apt-get", [...options, "download", "libc6"], { cwd: apt })
    const [file] = Fs.readdirSync(apt).filter((each) => each.endsWith(".deb"))
    run("dpkg-deb", ["--extract", Path.join(apt, file ?? "libc6.deb"), directory])
    Fs.rmSync(apt, { recursive: true })
  })

/** The version of a root file system's glibc, such as `2.31`. */
export const libcVersion = (directory: string): string =>
  /GNU C Library .* release version (\S+?)\.?$/m.exec(
    run("grep", ["-a", "-h", "GNU C Library", ...libraries(directory, "libc.so.6")])
  )?.[1] ?? "unknown"

const libraries = (directory: string, name: string): ReadonlyArray<string> =>
  run("find", [directory, "-name", name]).trim().split("\n")

/** A small Debian with this machine's Node and npm: stands for Node's image. */
export const withNode = (): string =>
  once(`node-${run("node", ["--version"]).trim()}`, (directory) => {
    run("debootstrap", ["--variant=minbase", "--include=ca-certificates", "bookworm", directory, mirror()])
    const node = Fs.realpathSync(Bun.which("node") ?? "/usr/bin/node")
    const npm = Path.resolve(Fs.realpathSync(Bun.which("npm") ?? "/usr/bin/npm"), "../..")
    const modules = Path.join(directory, "usr/lib/node_modules")
    Fs.mkdirSync(modules, { recursive: true })
    Fs.copyFileSync(node, Path.join(directory, "usr/bin/node"))
    run("cp", ["-R", npm, modules])
    Fs.symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", Path.join(directory, "usr/bin/npm"))
    // Where the registry is reached through a proxy with a certificate of its own.
    run("cp", ["/etc/ssl/certs/ca-certificates.crt", Path.join(directory, "etc/ssl/certs/ca-certificates.crt")])
  })
