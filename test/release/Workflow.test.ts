import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Yaml from "yaml"
import packageJson from "../../package.json" with { type: "json" }
import * as Documents from "../example/Document.ts"
import { repository } from "../executable/Executable.ts"

const read = (file: string): string => Fs.readFileSync(Path.join(repository, file), "utf8")

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, unknown>>
}

interface Job {
  readonly steps: ReadonlyArray<Step>
  readonly permissions: Readonly<Record<string, string>>
  readonly needs?: string | ReadonlyArray<string>
}

interface Workflow {
  readonly permissions: object
  readonly jobs: Readonly<Record<"build" | "test" | "release", Job>>
}

const source = read(".github/workflows/release.yaml")
const workflow = Yaml.parse(source) as Workflow
const steps = Object.values(workflow.jobs).flatMap((job) => job.steps)
const scripts = steps.flatMap(({ run }) => run ?? [])

/** Runs one of the workflow's scripts with commands that only say how they were called. */
const pretend = (script: string, env: Readonly<Record<string, string>>): string =>
  spawnSync("bash", ["-euc", `docker() { echo "docker $*"; }\n${script}`], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "", ...env }
  }).stdout.trim()

describe("the release workflow", () => {
  it("pins every action by its commit", () => {
    const actions = steps.flatMap(({ uses }) => uses ?? [])
    assert.isAbove(actions.length, 5)
    for (const action of actions) assert.match(action, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/)
  })

  it.each(scripts.map((script) => [script.split("\n")[0], script] as const))(
    "has a script that parses: %s",
    (_, script) => {
      const { status, stderr } = spawnSync("bash", ["-n"], { input: script, encoding: "utf8" })
      assert.strictEqual(status, 0, stderr)
    }
  )

  it("runs commands of package.json that exist", () => {
    const commands = scripts.flatMap((script) =>
      [...script.matchAll(/npm run (?:--silent )?([\w:]+)/g)].map(([, name]) => name)
    )
    assert.isNotEmpty(commands)
    for (const command of commands) assert.property(packageJson.scripts, command ?? "")
  })

  it("tests files that exist", () => {
    const files = scripts.flatMap((script) => [...script.matchAll(/test\/[\w/]+\.test\.ts/g)].map(([file]) => file))
    assert.isNotEmpty(files)
    for (const file of files) assert.isTrue(Fs.existsSync(Path.join(repository, file)), file)
  })

  it("may do nothing but what a job asks for, and signs and tags only what was tested", () => {
    assert.deepStrictEqual(workflow.permissions, {})
    const { build, release, test } = workflow.jobs
    assert.deepStrictEqual(build.permissions, { contents: "read", packages: "write" })
    assert.deepStrictEqual(test.permissions, { contents: "read", packages: "read" })
    assert.deepStrictEqual(release.permissions, { contents: "write", packages: "write", "id-token": "write" })
    assert.deepStrictEqual([test.needs, release.needs], ["build", ["build", "test"]])
  })

  it.each([
    { ref: "refs/heads/main", version: "1.2.3", tags: ["main"] },
    { ref: "refs/tags/v1.2.3", version: "1.2.3", tags: ["v1.2.3", "latest"] },
    { ref: "refs/tags/v1.2.3-rc.1", version: "1.2.3-rc.1", tags: ["v1.2.3-rc.1"] }
  ])("tags $ref as $tags", ({ ref, tags, version }) => {
    const [script = ""] = scripts.filter((each) => each.includes("imagetools create"))
    const seen = pretend(script, { GITHUB_REF: ref, VERSION: version, IMAGE: "image", DIGEST: "sha256:d" })
    const flags = tags.map((tag) => `--tag image:${tag}`).join(" ")
    assert.strictEqual(seen, `docker buildx imagetools create ${flags} image@sha256:d`)
  })

  it("takes the notes of a release from the changelog", () => {
    const [sed = ""] = source.match(/sed -n .* CHANGELOG\.md/) ?? []
    const { stdout } = spawnSync("bash", ["-euc", sed], {
      cwd: repository,
      encoding: "utf8",
      env: { PATH: process.env["PATH"] ?? "", VERSION: packageJson.version }
    })
    assert.isAbove(stdout.trim().length, 20)
    assert.notMatch(stdout, /^## /m)
  })
})

describe("the files of deploy/ in a release", () => {
  it("name the image that was made, by digest, and no other", () => {
    const [script = ""] = scripts.filter((each) => each.includes("deploy.tar.gz -C"))
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "vpc-release-"))
    try {
      for (const path of ["deploy", "package.json"]) {
        Fs.cpSync(Path.join(repository, path), Path.join(directory, path), { recursive: true })
      }
      const [image, digest] = ["ghcr.io/somebody/velero-plugin-cnpg", "sha256:d"]
      const { status, stderr } = spawnSync(
        "bash",
        ["-euo", "pipefail", "-c", `${script}\ntar -xzf release/deploy.tar.gz -C release`],
        {
          cwd: directory,
          encoding: "utf8",
          env: { PATH: process.env["PATH"] ?? "", VERSION: packageJson.version, IMAGE: image, DIGEST: digest }
        }
      )
      assert.strictEqual(status, 0, stderr)
      const files = Fs.readdirSync(Path.join(directory, "release/deploy"), { recursive: true, withFileTypes: true })
      const text = files
        .filter((file) => file.isFile())
        .map((file) => Fs.readFileSync(Path.join(file.parentPath, file.name), "utf8"))
        .join("\n")
      assert.notInclude(text, packageJson.config.image)
      const images = [...text.matchAll(/^ +image: (\S+)$/gm)].map(([, each]) => each)
      const made = `${image}:v${packageJson.version}@${digest}`
      assert.deepStrictEqual(images, [made, made])
      assert.include(text, `name: ${image}\n`)
    } finally {
      Fs.rmSync(directory, { recursive: true })
    }
  })
})

describe("the version", () => {
  it("has a heading in the changelog", () => {
    assert.include(read("CHANGELOG.md"), `\n## ${packageJson.version}\n`)
  })
})

describe("pages beside the README", () => {
  it.each(["SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"])("%s links to what exists", (path) =>
    Documents.assertLinks(path)
  )

  it("names npm commands that exist", () => {
    for (const [, command = ""] of read("CONTRIBUTING.md").matchAll(/`npm run ([\w:]+)/g)) {
      assert.property(packageJson.scripts, command)
    }
  })
})

describe("the Dockerfile", () => {
  const dockerfile = read("Dockerfile")

  it("pins its base images by digest", () => {
    const images = [...dockerfile.matchAll(/^ARG \w+_IMAGE=(.*)$/gm)].map(([, image = ""]) => image)
    assert.strictEqual(images.length, 2)
    for (const image of images) assert.match(image, /:[\w.-]+@sha256:[0-9a-f]{64}$/)
    const bases = [...dockerfile.matchAll(/^FROM (?:--\S+ )?(\S+)/gm)].map(([, base]) => base)
    assert.deepStrictEqual(bases, ["${LIBC_IMAGE}", "${NODE_IMAGE}", "scratch"])
  })

  it("gets from the build's directory what it copies", () => {
    const allowed = read(".dockerignore")
    for (const file of ["LICENSE", "NOTICE", "src", "proto", "package-lock.json"])
      assert.include(allowed, `\n!${file}\n`)
  })
})
