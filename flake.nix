# Velero plugins that recover CloudNativePG clusters.
#
#   nix build            the executable, under the names of all packs: result/bin/velero-plugin-cnpg
#   nix flake check      types, linter, format and tests, on an executable that was built for this system
#   nix develop          a shell with Node, Bun and Go
#
# npm's packages are fetched by npm itself, by the checksums of package-lock.json, into one derivation whose hash is below (they are
# not imported from the lock file, which names no registry: .npmrc). One of them is the Bun that compiles and becomes part of the
# executable: the version that everything is tested with. It is for the usual loader, which a Nix build does not have, so a copy with
# another loader does the work; the executable is made of the file as it was, for it is to run in Velero's image, not on NixOS.
#
# nixpkgs could not be fetched where this was written. `npm run nix:test` is what was tried: Nix evaluates this file against a stub of
# the attributes that it uses (test/nix/nixpkgs.nix), npm's packages are fetched and their hashes compared, and the phases run by hand in
# an empty directory without a network. Not tried: the real nixpkgs, its sandbox, `nix flake check` as a whole, aarch64-linux beyond its
# hash. There is no flake.lock yet: the first `nix build` writes it, and it belongs into the repository.
{
  description = "Velero plugins that recover CloudNativePG clusters";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      systems = {
        x86_64-linux = {
          cpu = "x64";
          target = "x64-baseline";
          packages = "sha256-kOg8CKsPFfGVwDng9QIqJlIcrfACSvTzRsqy7nBng7s=";
        };
        aarch64-linux = {
          cpu = "arm64";
          target = "arm64";
          packages = "sha256-fueXJ1yeKZJYQHfB24n1pvpjmcN5OT7pE0eWBKZ9edY=";
        };
      };

      forEach =
        make: lib.genAttrs (lib.attrNames systems) (system: make systems.${system} nixpkgs.legacyPackages.${system});
      manifest = lib.importJSON ./package.json;

      files =
        names:
        lib.fileset.toSource {
          root = ./.;
          fileset = lib.fileset.unions names;
        };
      lock = [
        ./package.json
        ./package-lock.json
      ];

      # node_modules. Another package-lock.json gives another hash: npm run nix:test says which, for both systems.
      packages =
        system: pkgs:
        pkgs.stdenvNoCC.mkDerivation {
          name = "${manifest.name}-npm-packages";
          src = files lock;
          nativeBuildInputs = [
            pkgs.nodejs
            pkgs.cacert
          ];
          impureEnvVars = lib.fetchers.proxyImpureEnvVars;
          buildPhase = ''
            export HOME=$PWD
            npm ci --ignore-scripts --no-audit --no-fund --os=linux --libc=glibc --cpu=${system.cpu}
            rm node_modules/.package-lock.json
          '';
          installPhase = "mv node_modules $out";
          dontFixup = true;
          outputHashMode = "recursive";
          outputHash = system.packages;
        };

      # $runtime is Bun as its makers ship it; the `bun` of npm's commands is a copy that finds its loader.
      configure = system: pkgs: ''
        export HOME=$PWD
        cp -R ${packages system pkgs} node_modules
        chmod -R u+w node_modules
        patchShebangs node_modules
        runtime=$(realpath node_modules/@oven/bun-linux-*/bin/bun)
        cp "$runtime" node_modules/bun/bin/patched
        patchelf --set-interpreter "$(cat $NIX_CC/nix-support/dynamic-linker)" node_modules/bun/bin/patched
        chmod 0755 node_modules/bun/bin/patched "$runtime"
        ln -sf ../bun/bin/patched node_modules/.bin/bun
      '';

      executable =
        system: pkgs:
        pkgs.stdenv.mkDerivation {
          pname = manifest.name;
          inherit (manifest) version;
          src = files (
            lock
            ++ [
              ./LICENSE
              ./NOTICE
              ./buf.gen.yaml
              ./proto
              ./src
              ./tsconfig.json
            ]
          );
          nativeBuildInputs = [
            pkgs.nodejs
            pkgs.patchelf
          ];
          configurePhase = configure system pkgs;
          buildPhase = ''
            npm run generate
            BUILD_FLAGS="--target=bun-linux-${system.target} --compile-executable-path=$runtime" npm run bundle
            npm run sbom
          '';
          installPhase = ''
            install -D --mode=0755 dist/velero-plugin-cnpg $out/bin/velero-plugin-cnpg
            for pack in kyma filesystem example; do ln $out/bin/velero-plugin-cnpg $out/bin/velero-plugin-$pack; done
            install -D --mode=0644 --target-directory=$out/share/doc/velero-plugin-cnpg LICENSE NOTICE dist/sbom.cdx.json
          '';
          # The program lies in the executable as a section of its own, which is not to be touched.
          dontFixup = true;
          meta = {
            inherit (manifest) description;
            license = lib.licenses.asl20;
            mainProgram = "velero-plugin-cnpg";
            platforms = lib.attrNames systems;
          };
        };

      # Everything in the repository, and an executable that starts in the sandbox.
      tests =
        system: pkgs:
        pkgs.stdenv.mkDerivation {
          name = "${manifest.name}-tests";
          src = ./.;
          nativeBuildInputs = [
            pkgs.nodejs
            pkgs.patchelf
          ];
          configurePhase = configure system pkgs;
          buildPhase = ''
            npm run generate
            BUILD_FLAGS="--compile-executable-path=$PWD/node_modules/bun/bin/patched" npm run bundle
            npm run types
            npm run lint
            npm run format:check
            npm run vitest -- test/bin test/cnpg test/go-plugin test/kubernetes test/kyma test/velero test/executable
          '';
          installPhase = "touch $out";
          dontFixup = true;
        };
    in
    {
      packages = forEach (system: pkgs: { default = executable system pkgs; });
      checks = forEach (system: pkgs: { default = tests system pkgs; });
      devShells = forEach (
        _: pkgs: {
          default = pkgs.mkShell {
            packages = [
              pkgs.nodejs
              pkgs.bun
              pkgs.go
            ];
          };
        }
      );
    };
}
