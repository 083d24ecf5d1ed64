import { defineErrorCodes } from '../api/errors.ts'

/** Codes of finding and loading plugins. */
export const pluginErrorCodes = defineErrorCodes({
  CONNECT_PLUGIN_DUPLICATE: {
    meaning: 'Two plugins of one kind have the same name, or are the same version of a class.',
    remedy: 'Remove one of them from `plugin.path`.',
  },
  CONNECT_PLUGIN_LOAD: {
    meaning: 'A module of `plugin.path` cannot be loaded, or exports no plugin that can be used.',
    remedy: 'Correct the module (`sluice plugins check` tells what is wrong), or take it off `plugin.path`.',
  },
  CONNECT_PLUGIN_UNDECLARED: {
    meaning: 'With `plugin.discovery=hybrid_fail` every plugin of `plugin.path` must be declared by its package.',
    remedy: 'Add `"sluice": { "plugins": ["./path/of/module.js"] }` to its package.json, or choose hybrid_warn.',
  },
  CONNECT_PLUGIN_PATH: {
    meaning: 'An entry of `plugin.path` cannot be read.',
    remedy: 'Correct the path or its permissions.',
  },
  CONNECT_PLUGIN_UNKNOWN: {
    meaning: 'No plugin of this name and kind is here.',
    remedy: 'Check the name against `GET /connector-plugins?connectorsOnly=false`; add its module to `plugin.path`.',
  },
  CONNECT_PLUGIN_VERSION: {
    meaning: 'The plugin is not here in a version that the config asks for, or what it asks for is no version.',
    remedy: 'Correct the option `….plugin.version`, or add a package of that version to `plugin.path`.',
  },
})
