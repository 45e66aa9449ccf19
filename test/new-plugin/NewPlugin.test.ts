import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as NewPlugin from "../../src/new-plugin/NewPlugin.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import * as Documents from "../example/Document.ts"
import { backup, bytesOf, jsonOf } from "../example/Host.ts"
import { repository, temporaryDirectory } from "../executable/Executable.ts"
import { until } from "../grpc/Until.ts"
import * as Folder from "./Folder.ts"

describe("a name", () => {
  it.each([
    ["my-plugin", "example.com/my-plugin"],
    ["acme.io/stamp2", "acme.io/stamp2"]
  ])("%s is registered as %s", (argument, plugin) => {
    assert.deepStrictEqual(NewPlugin.pluginOf(argument), Result.succeed(plugin))
  })

  it.each(["", "My-Plugin", "my plugin", "-a", "2nd", "../a", "a/b/c", "Acme.io/a", "/a", "a/", "$(id)"])(
    "%j is refused",
    (argument) => {
      assert.isTrue(Result.isFailure(NewPlugin.pluginOf(argument)))
    }
  )
})

describe("the folder", () => {
  const template = { "src/a.ts": `"example.com/my-plugin" my-plugin`, gitignore: "dist/", "package.json": `{"x": ""}` }

  it("has the plugin's name wherever the template has its own, and the versions of the SDK", () => {
    assert.deepStrictEqual(
      NewPlugin.filesOf(template, "acme.io/stamp", { dependency: "1", versions: { x: "2.0.0" } }),
      {
        "src/a.ts": `"acme.io/stamp" stamp`,
        ".gitignore": "dist/",
        "package.json": `{"x": "2.0.0"}`
      }
    )
  })

  it("is not made with a version that the SDK does not have", () => {
    assert.throws(() => NewPlugin.filesOf(template, "acme.io/stamp", { dependency: "1", versions: {} }), "version of x")
  })

  it.live("is not made where something is already, and nothing is touched there", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      Fs.writeFileSync(Path.join(directory, "README.md"), "mine")
      const { code, stderr } = yield* Folder.run(
        repository,
        ...(["npm", "run", "--silent", "new-plugin", "--", "my-plugin", directory] as const)
      )
      assert.strictEqual(code, 1)
      assert.strictEqual(stderr.trim(), `new-plugin: ${directory} is not empty`)
      assert.deepStrictEqual(Fs.readdirSync(directory), ["README.md"])
    })
  )
})

describe("docs/write-a-plugin.md, from an empty folder", () => {
  const document = Documents.read("docs/write-a-plugin.md")
  const name = "my-plugin"
  let parent = ""
  let directory = ""
  const executable = () => Path.join(directory, "dist", name)
  /** What each command of the document printed. */
  const printed = new Map<string, Folder.Finished>()

  beforeAll(async () => {
    parent = Fs.mkdtempSync("/tmp/vpn-")
    directory = Path.join(parent, name)
    const [, steps = ""] = /<!-- steps -->\n+```sh\n([\s\S]*?)\n```/.exec(document) ?? []
    let here = repository
    await Effect.runPromise(
      Effect.forEach(steps.split("\n"), (step) => {
        // The repository's own packages are there: these tests run on them.
        if (step === "npm ci") return Effect.void
        if (step === "npm install") return Effect.sync(() => Folder.install(here))
        if (step.startsWith("cd ")) return Effect.sync(() => void (here = directory))
        const command = step.replace(`../${name}`, directory)
        return Effect.map(Folder.succeed(here, "sh", "-c", command), (finished) => printed.set(step, finished))
      })
    )
  }, 300_000)

  // Also where the folder could not be made.
  afterAll(() => Fs.rmSync(parent, { recursive: true, force: true }))

  it("says where the folder is, and what to do there", () => {
    const { stderr } = printed.get("npm run new-plugin -- my-plugin ../my-plugin") ?? {}
    assert.include(stderr, `example.com/${name} is in ${directory}. Now: cd ${directory} && npm install && npm test`)
  })

  it("passes its own tests", () => {
    assert.include(printed.get("npm test")?.stderr, " 2 pass\n 0 fail\n")
  })

  it("shows what the document shows", () => {
    const [, output = ""] = /<!-- output: npm start -->\n+```\n([\s\S]*?)\n```/.exec(document) ?? []
    const lines = (printed.get("npm start")?.stdout ?? "").trimEnd().split("\n")
    const shown = lines.slice(lines.findIndex((line) => line.startsWith("Backup:")))
    assert.strictEqual(shown.filter((line) => !line.includes("creationTimestamp")).join("\n"), output)
  })

  it.live("fails them where the action changes what it does not own", () =>
    Effect.gen(function* () {
      const action = Path.join(directory, "src", "Action.ts")
      const text = Fs.readFileSync(action, "utf8")
      Fs.writeFileSync(action, text.replace("patches: [", `patches: [Json.remove(["metadata", "a"]), `))
      const { code, stderr } = yield* Folder.run(directory, "npm", "test", "--silent")
      Fs.writeFileSync(action, text)
      assert.strictEqual(code, 1)
      assert.include(stderr, "(fail) what the action does not own comes back byte for byte")
    })
  )

  it.live("is an executable that Velero discovers, and calls", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const lines: Array<string> = []
        const options: VeleroHost.Options = {
          executable: executable(),
          env: { TMPDIR: yield* temporaryDirectory() },
          onLog: ({ fields, message }) => lines.push(`${String(fields["logSource"])} ${message}`)
        }
        const plugin = `example.com/${name}`
        assert.deepStrictEqual(yield* VeleroHost.discover(options), [
          { command: executable(), kind: "BackupItemActionV2", name: plugin }
        ])
        const manager = yield* VeleroHost.manager(options)
        const { backupItemActionV2 } = yield* manager.client
        const { ResourceSelector } = yield* backupItemActionV2.appliesTo({ plugin })
        assert.deepStrictEqual(ResourceSelector?.includedResources, ["configmaps"])
        const item = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "shop" } }
        const stored = yield* backupItemActionV2.execute({ plugin, item: bytesOf(item), backup: bytesOf(backup()) })
        assert.deepStrictEqual(jsonOf(stored.item), {
          ...item,
          metadata: { ...item.metadata, annotations: { [plugin]: "velero/nightly" } }
        })
        // A line and an answer come by different ways.
        yield* Effect.promise(() => until("it has logged", () => lines.length > 0))
        assert.deepStrictEqual(lines, [`${plugin}:report settings is in velero/nightly`])
      })
    )
  )

  it.live("tells people which version it is", () =>
    Effect.gen(function* () {
      const version = yield* Folder.succeed(directory, executable(), "--version")
      assert.strictEqual(version.stdout.trim(), `${name} v0.1.0`)
    })
  )

  it.live("can be made from the package as well, which then comes from the registry", () =>
    Effect.gen(function* () {
      const root = Path.join(directory, "node_modules", "velero-plugin-cnpg")
      const { bin, version } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
        readonly bin: Readonly<Record<string, string>>
        readonly version: string
      }
      const command = Path.join(root, bin["new-velero-plugin"] ?? "")
      assert.include(document, "npx --package velero-plugin-cnpg new-velero-plugin my-plugin")
      yield* Folder.succeed(parent, "node", command, "acme.io/other")
      const files = (folder: string) =>
        Fs.readdirSync(folder, { recursive: true })
          .map(String)
          .filter((path) => !/^(node_modules|dist|vendor)(\/|$)/.test(path))
          .toSorted()
      assert.deepStrictEqual(files(Path.join(parent, "other")), files(directory))
      const made = JSON.parse(Fs.readFileSync(Path.join(parent, "other", "package.json"), "utf8")) as {
        readonly dependencies: Readonly<Record<string, string>>
      }
      assert.strictEqual(made.dependencies["velero-plugin-cnpg"], version)
    })
  )

  it.live("has an image whose entry point copies the executable to /target and needs no shell", () =>
    Effect.gen(function* () {
      const dockerfile = Fs.readFileSync(Path.join(directory, "Dockerfile"), "utf8")
      const image = dockerfile.slice(dockerfile.lastIndexOf("\nFROM "))
      assert.match(image, /^\nFROM scratch\n/)
      assert.match(image, /^USER 65532:65532$/m)
      const copied = /^COPY --from=build --chmod=0755 \/build\/(\S+) (\S+)$/m.exec(image)
      assert.strictEqual(copied?.[1], `dist/${name}`)
      const entryPoint = JSON.parse(/^ENTRYPOINT (.+)$/m.exec(image)?.[1] ?? "null") as ReadonlyArray<string>
      assert.include(image, `COPY --from=busybox:1.37.0-musl ${entryPoint[0]} ${entryPoint[0]}\n`)
      assert.deepStrictEqual(entryPoint.slice(2), [copied?.[2], `/target/${name}`])

      // The same words with the directories of this machine in place of the image's and the Pod's; twice, as a Pod starts again.
      const target = yield* temporaryDirectory()
      const here = entryPoint.map((word) => word.replace(copied?.[2] ?? "", executable()).replace("/target", target))
      for (const _ of [1, 2]) yield* Folder.succeed(directory, ...(here as [string, ...Array<string>]))
      assert.deepStrictEqual(Fs.readdirSync(target), [name])
      assert.strictEqual(Fs.statSync(Path.join(target, name)).mode & 0o111, 0o111)
    })
  )

  it.live("offers the SDK and not its inside", () =>
    Effect.gen(function* () {
      const inside = ["velero/wire/Registry", "testing/api-server/Store", "go-plugin/Server", "cnpg/Cluster"]
      const script = `
        for (const module of ${JSON.stringify([...Folder.publicModules, ...inside])}) {
          await import("velero-plugin-cnpg/" + module).then(() => {}, () => console.log(module))
        }`
      const { stdout } = yield* Folder.succeed(directory, "bun", "-e", script)
      assert.deepStrictEqual(stdout.trim().split("\n"), inside)
    })
  )
})
