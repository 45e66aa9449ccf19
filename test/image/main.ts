/**
 * `npm run image:test`: builds the Dockerfile without a container engine, for amd64 and arm64, and runs what comes out.
 *
 * **What is real**: every instruction of the Dockerfile, by buildah; the image's layer and configuration; the root file systems
 * in which the image's entry point and the copied executable run, as user 65532; the C libraries of Velero's images (Debian 11 is
 * that of Velero 1.12.0; those after it have newer ones). **What is not**: the base images cannot be pulled everywhere, so a
 * small Debian with this machine's Node, and Debian's libc6, stand for them; there is no container runtime, so namespaces and
 * bind mounts do what one would; arm64 is emulated by qemu.
 */
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import packageJson from "../../package.json" with { type: "json" }
import type { Architecture } from "./Debian.ts"
import * as Debian from "./Debian.ts"
import { attempt, cache, missing, repository, run } from "./Tools.ts"
import { check, runChecks } from "../Checks.ts"

const reason = missing()
if (reason !== "") {
  console.log(`skipped: the image: ${reason}`)
  process.exit(0)
}

const work = Fs.mkdtempSync(Path.join(Os.tmpdir(), "vpc-image-"))
const storage = ["--root", `${work}/storage`, "--runroot", `${work}/run`, "--storage-driver", "vfs"]
const buildah = (...args: ReadonlyArray<string>) =>
  run("buildah", [...storage, ...args], {
    // Its cache of npm's packages, which the Dockerfile asks for, lies in TMPDIR.
    env: { BUILDAH_ISOLATION: "chroot", TMPDIR: cache("") }
  })

const equal = (what: string, actual: unknown, expected: unknown): void => {
  const [is, should] = [actual, expected].map((each) => JSON.stringify(each))
  if (is !== should) throw new Error(`${what} is ${is}, not ${should}`)
}

/** A directory as an image of one layer, to build from. */
const imageOf = (directory: string, tag: string, architecture: Architecture): string => {
  const container = buildah("from", "scratch").trim()
  buildah("config", "--os", "linux", "--arch", architecture, container)
  buildah("add", "--quiet", container, directory, "/")
  // The registry may be reached through a proxy with a certificate of its own, which Node has to be told.
  buildah("config", "--env", "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt", container)
  buildah("commit", "--quiet", "--rm", container, tag)
  return tag
}

/** The sources as they are in the checkout, with times of now. */
const sources = (name: string): string => {
  const directory = `${work}/${name}`
  Fs.mkdirSync(directory)
  const files = run("git", ["ls-files", "-z", "-co", "--exclude-standard"], { cwd: repository })
    .split("\0")
    .filter(Boolean)
  for (const file of files.filter((each) => Fs.existsSync(Path.join(repository, each)))) {
    Fs.mkdirSync(Path.dirname(Path.join(directory, file)), { recursive: true })
    Fs.copyFileSync(Path.join(repository, file), Path.join(directory, file))
  }
  return directory
}

interface Descriptor {
  readonly digest: string
}

interface Image {
  readonly layers: ReadonlyArray<string>
  readonly config: {
    readonly architecture: string
    readonly config: {
      readonly User: string
      readonly Entrypoint: ReadonlyArray<string>
      readonly Cmd?: ReadonlyArray<string>
      readonly Labels: Readonly<Record<string, string>>
    }
  }
  /** The image's files, unpacked. */
  readonly root: string
}

/** Builds the Dockerfile, and unpacks the image as a container runtime does. */
const build = (name: string, architecture: Architecture, bases: ReadonlyArray<string>): Image => {
  const npmrc = Path.join(Os.homedir(), ".npmrc")
  const secret = Fs.existsSync(npmrc) ? ["--secret", `id=npmrc,src=${npmrc}`] : []
  const args = [`VERSION=${packageJson.version}`, "REVISION=tested", ...bases].flatMap((arg) => ["--build-arg", arg])
  const platform = ["--platform", `linux/${architecture}`]
  buildah(
    "build",
    "--no-cache",
    "--timestamp",
    "0",
    "--format",
    "oci",
    ...platform,
    ...secret,
    ...args,
    "-t",
    name,
    sources(name)
  )
  const oci = `${work}/${name}.oci`
  buildah("push", "--quiet", name, `oci:${oci}:latest`)
  const blob = (digest: string) => Path.join(oci, "blobs", digest.replace(":", "/"))
  const json = (file: string) => JSON.parse(Fs.readFileSync(file, "utf8")) as unknown
  const index = json(Path.join(oci, "index.json")) as { readonly manifests: ReadonlyArray<Descriptor> }
  const manifest = json(blob(index.manifests[0]?.digest ?? "")) as {
    readonly config: Descriptor
    readonly layers: ReadonlyArray<Descriptor>
  }
  const root = `${work}/${name}.root`
  Fs.mkdirSync(root)
  for (const { digest } of manifest.layers) run("tar", ["-xpf", blob(digest), "-C", root])
  return {
    layers: manifest.layers.map(({ digest }) => digest),
    config: json(blob(manifest.config.digest)) as Image["config"],
    root
  }
}

const files = (root: string): ReadonlyArray<string> =>
  run("find", [".", "!", "-type", "d", "-printf", "%P\n"], { cwd: root }).trim().split("\n").toSorted()

const emulators = { amd64: undefined, arm64: "/usr/bin/qemu-aarch64-static" } as const

/**
 * Runs a command of a root file system as a container runtime would: read-only, with /proc and the usual devices, as user 65532
 * without privileges, and with directories of this machine mounted in it, each under a path of its own.
 */
const container = (
  root: string,
  mounts: Readonly<Record<string, string>>,
  emulator: string | undefined
): ReadonlyArray<string> => {
  const mount = (from: string, to: string) => `mkdir -p "${root}${to}" && mount --rbind "${from}" "${root}${to}"`
  const device = (name: string) => `touch "${root}/dev/${name}" && mount --bind /dev/${name} "${root}/dev/${name}"`
  const script = [
    "set -e",
    `mount --bind "${root}" "${root}"`,
    `mkdir -p "${root}/dev" "${root}/proc" && mount -t proc proc "${root}/proc"`,
    ...["null", "urandom", "random"].map(device),
    ...(emulator === undefined ? [] : [`touch "${root}/qemu" && mount --bind ${emulator} "${root}/qemu"`]),
    ...Object.entries(mounts).map(([to, from]) => mount(from, to)),
    `mount -o remount,bind,ro "${root}"`,
    `exec setpriv --no-new-privs chroot --userspec=65532:65532 "${root}" ${emulator === undefined ? "" : "/qemu "}"$@"`
  ]
  return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/bash", "-c", script.join("\n"), "container"]
}

const inContainer = (
  root: string,
  mounts: Readonly<Record<string, string>>,
  emulator: string | undefined,
  command: ReadonlyArray<string>
) => {
  const [first = "", ...rest] = container(root, mounts, emulator)
  return attempt(first, [...rest, ...command])
}

const sha256 = (file: string): string => createHash("sha256").update(Fs.readFileSync(file)).digest("hex")

/** An empty volume, for everybody. */
const volume = (name: string): string => {
  const directory = `${work}/${name}`
  Fs.mkdirSync(directory)
  Fs.chmodSync(directory, 0o777)
  return directory
}

/** A file that starts a plugin in a root file system, for tests that are handed an executable. `/tmp` is the same inside. */
const launcher = (name: string, command: ReadonlyArray<string>): string => {
  const file = `${work}/${name}.sh`
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")
  // A plugin is started with the variables that a test gives it, and no others.
  const path = "export PATH=/usr/sbin:/usr/bin:/sbin:/bin"
  Fs.writeFileSync(file, `#!/bin/sh\n${path}\nexec ${quoted} "$@"\n`, { mode: 0o755 })
  return file
}

const executable = "velero-plugin-cnpg"

/** The image's own test: what is in it, and what its entry point does. Returns the volume with the plugin. */
const checkImage = (architecture: Architecture, image: Image): string => {
  const emulator = emulators[architecture]
  const loader = architecture === "amd64" ? "lib64/ld-linux-x86-64.so.2" : "lib/ld-linux-aarch64.so.1"
  const triple = architecture === "amd64" ? "x86_64-linux-gnu" : "aarch64-linux-gnu"
  const target = volume(`${architecture}.target`)

  check(
    `${architecture}: the image has the executable, glibc, licences and a bill of materials, and nothing else`,
    () => {
      const libraries = ["libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"].map(
        (each) => `lib/${triple}/${each}`
      )
      const licences = ["LICENSE", "NOTICE", "glibc"].map((each) => `licenses/${each}`)
      const plugins = ["cnpg", "example", "filesystem", "kyma"].map((each) => `plugins/velero-plugin-${each}`)
      equal(
        "the list of files",
        files(image.root),
        [...libraries, loader, ...licences, ...plugins, "sbom.cdx.json"].toSorted()
      )
      equal("the number of layers", image.layers.length, 1)
      return `${(Fs.statSync(`${image.root}/plugins/${executable}`).size / 1e6).toFixed(0)} MB`
    }
  )
  check(`${architecture}: its configuration`, () => {
    const { Cmd, Entrypoint, Labels, User } = image.config.config
    equal("the architecture", image.config.architecture, architecture)
    equal("the entry point", Entrypoint, [`/plugins/${executable}`, "install"])
    equal("the command", Cmd ?? [], [])
    equal("the user", User, "65532:65532")
    equal("the version", Labels["org.opencontainers.image.version"], packageJson.version)
    equal("the revision", Labels["org.opencontainers.image.revision"], "tested")
    equal("the licence", Labels["org.opencontainers.image.licenses"], packageJson.license)
  })
  check(`${architecture}: its entry point installs the plugin in an empty volume, read-only and unprivileged`, () => {
    const { code, stderr, stdout } = inContainer(
      image.root,
      { "/target": target },
      emulator,
      image.config.config.Entrypoint
    )
    equal("the exit code", code, 0)
    equal("stderr", stderr, "")
    equal("the content of the volume", Fs.readdirSync(target), [executable])
    const { gid, mode, uid } = Fs.statSync(`${target}/${executable}`)
    equal("mode and owner", [(mode & 0o7777).toString(8), uid, gid], ["755", 65532, 65532])
    equal("the checksum", stdout.trim().split("sha256:")[1], sha256(`${target}/${executable}`))
    equal("the same as in the image", sha256(`${target}/${executable}`), sha256(`${image.root}/plugins/${executable}`))
    return stdout.trim()
  })
  check(`${architecture}: without a volume it says what to mount`, () => {
    const { code, stderr } = inContainer(image.root, {}, emulator, image.config.config.Entrypoint)
    equal("the exit code", code, 1)
    if (!/mount Velero's plugin volume there/.test(stderr)) throw new Error(stderr)
  })
  check(`${architecture}: a link in it is the pack whose name it has`, () => {
    const { stdout } = inContainer(image.root, {}, emulator, ["/plugins/velero-plugin-filesystem", "version"])
    const platform = architecture === "amd64" ? "amd64" : "arm64"
    equal(
      "the version",
      stdout.trim(),
      `velero-plugin-filesystem ${packageJson.version}, linux/${platform}, Bun ${packageJson.devDependencies.bun}`
    )
  })
  return target
}

/** The tests that drive an executable as Velero does: its handshake, a backup and a restore with an API server. */
const checkPlugin = (what: string, command: ReadonlyArray<string>, name: string, only?: string): void =>
  check(what, () => {
    const tests = [
      "node_modules/vitest/vitest.mjs",
      "run",
      "--pool=threads",
      "--testTimeout=300000",
      "test/executable/BackupAndRestore.test.ts"
    ]
    const chosen = only === undefined ? [] : ["--testNamePattern", only]
    const { code, stderr, stdout } = attempt("bun", ["--bun", ...tests, ...chosen], {
      cwd: repository,
      env: { VELERO_PLUGIN_CNPG: launcher(name, command), NO_COLOR: "1" }
    })
    const [summary] = stdout.match(/^\d+ passed, \d+ failed.*$/m) ?? []
    if (code !== 0 || summary === undefined || summary.startsWith("0 "))
      throw new Error(`${stdout}${stderr}`.slice(-4000))
    return summary
  })

const main = (): void => {
  /** buildah looks for every base of an arm64 image among arm64 images, `--platform=$BUILDPLATFORM` or not. */
  const bases = (architecture: Architecture) => [
    `NODE_IMAGE=${imageOf(Debian.withNode(), `localhost/node:${architecture}`, architecture)}`,
    `LIBC_IMAGE=${imageOf(Debian.libc("bookworm", architecture), `localhost/libc:${architecture}`, architecture)}`
  ]

  let first: Image | undefined
  check("amd64: the Dockerfile builds", () => {
    first = build("amd64", "amd64", bases("amd64"))
    return first.layers.join(" ")
  })
  if (first !== undefined) {
    const image = first
    const target = checkImage("amd64", image)
    check("amd64: a second build has the same layer", () => {
      const second = build("again", "amd64", bases("amd64"))
      equal("its layer", second.layers, image.layers)
    })
    for (const release of ["bullseye", "bookworm"] as const) {
      const root = `${work}/velero-${release}`
      run("cp", ["-R", "--preserve=mode,links", Debian.libc(release, "amd64"), root])
      const command = [
        ...container(root, { "/plugins": target, "/tmp": Os.tmpdir() }, undefined),
        `/plugins/${executable}`
      ]
      checkPlugin(`amd64: backs up and restores beside nothing but glibc ${Debian.libcVersion(root)}`, command, release)
    }
    // Nehalem: a processor of 2008, without AVX.
    checkPlugin(
      "amd64: runs on a processor without AVX",
      ["qemu-x86_64-static", "-cpu", "Nehalem", `${target}/${executable}`],
      "nehalem",
      "recovers"
    )
  }

  let other: Image | undefined
  check("arm64: the Dockerfile builds, on amd64", () => {
    other = build("arm64", "arm64", bases("arm64"))
    return other.layers.join(" ")
  })
  if (other !== undefined) {
    const target = checkImage("arm64", other)
    const root = `${work}/velero-arm64`
    run("cp", ["-R", "--preserve=mode,links", Debian.libc("bullseye", "arm64"), root])
    const command = [
      ...container(root, { "/plugins": target, "/tmp": Os.tmpdir() }, emulators.arm64),
      `/plugins/${executable}`
    ]
    checkPlugin(
      `arm64: backs up and restores beside nothing but glibc ${Debian.libcVersion(root)}, emulated`,
      command,
      "arm64",
      "in place, after everything was lost"
    )
  }
}

runChecks(work, main)
