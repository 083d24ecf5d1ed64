import { readFileSync } from 'node:fs'
import type { Files, Names } from './names.ts'
import { sinkFiles } from './sink.ts'
import { sourceFiles } from './source.ts'
import { transformFiles } from './transform.ts'

export interface ScaffoldInput {
  readonly kind: 'source' | 'sink' | 'transform'
  /** Of the package, with or without a scope. */
  readonly name: string
  /** Class name of the plugin; null makes one of the package's name. */
  readonly className: string | null
}

/** `@acme/order-feed` → `order-feed`. */
export function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

const endings = { source: 'SourceConnector', sink: 'SinkConnector', transform: '' } as const

export function scaffoldFiles({ kind, name, className }: ScaffoldInput): Files {
  const type = lastPart(name)
    .split('-')
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('')
  const names: Names = { type, className: className ?? `org.example.${type}${endings[kind]}` }
  const own = { source: sourceFiles, sink: sinkFiles, transform: transformFiles }[kind](names)
  return { ...shared(name, names), ...own }
}

/** Version of this package: plugins are tested with it. */
function ownVersion(): string {
  // Sources lie in worker/cli/new, the build in dist/worker/cli/new.
  for (const path of ['../../../package.json', '../../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Readonly<
        Record<string, unknown>
      >
      if (name === 'sluice') return String(version)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    }
  }
  throw new Error('the package.json of sluice is not where it should be')
}

function shared(name: string, { className }: Names): Files {
  const manifest = {
    name,
    version: '0.1.0',
    type: 'module',
    license: 'Apache-2.0',
    engines: { node: '>=24' },
    sluice: { plugins: ['./dist/index.js'] },
    exports: './dist/index.js',
    files: ['dist'],
    scripts: {
      test: 'node --test "test/**/*.test.ts"',
      check: 'tsc --noEmit',
      build: 'tsc -p tsconfig.build.json',
      prepack: 'npm run build',
    },
    peerDependencies: { sluice: `^${ownVersion()}` },
    // npm would fetch a peer that is not optional from its registry, where the name may be somebody else's. Node finds
    // the one in a folder above, as the worker's plugins do.
    peerDependenciesMeta: { sluice: { optional: true } },
    devDependencies: { '@types/node': '^24.0.0', typescript: '^7.0.0' },
  }
  const compiler = {
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable'],
    types: ['node'],
    module: 'nodenext',
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    rewriteRelativeImportExtensions: true,
    skipLibCheck: true,
    noEmit: true,
  }
  const build = { rootDir: 'src', outDir: 'dist', noEmit: false, declaration: true, sourceMap: true }
  return {
    'package.json': json(manifest),
    'tsconfig.json': json({ compilerOptions: compiler, include: ['src', 'test'] }),
    'tsconfig.build.json': json({ extends: './tsconfig.json', compilerOptions: build, include: ['src'] }),
    '.gitignore': 'node_modules/\ndist/\n',
    'README.md': readme(name, className),
  }
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

function readme(name: string, className: string): string {
  return `# ${name}

\`${className}\` for Sluice.

    npm install
    npm test                        # the contract of the framework, and the plugin's own cases
    npx sluice plugins check .      # as a worker would load it (after npm run build)

Sluice is found in a \`node_modules\` of a folder above; elsewhere \`npm install --no-save <its package file>\` puts it here.

While you work on it, a worker may run the source itself: \`plugin.path=/path/to/${lastPart(name)}/src/index.ts\`. When it is
published, \`npm install ${name}\` beside the worker and \`plugin.path=${name}\` are enough: \`package.json\` says under
\`sluice.plugins\` where the plugins are.
`
}
