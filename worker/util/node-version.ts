const neededMajor = 24

/** Why the worker cannot run on this Node, with the remedy; null when it can. @param version as `process.versions.node` */
export function nodeProblem(version: string, execPath: string): string | null {
  if (Number.parseInt(version, 10) >= neededMajor) return null
  return (
    `Sluice needs Node ${neededMajor} or newer; ${execPath} is ${version}. ` +
    'In a checkout, npm start -- <command> … uses the Node that npm has installed there.'
  )
}
