import type { ErrorCode } from '../model/error-codes.ts';
import { WaybillError } from '../model/errors.ts';
import { whyImpossible } from './fits.ts';
import type { Config, FlowConfig } from './flow-config.ts';
import { whyNotKept } from './kept-bytes.ts';
import { didYouMean } from './nearest.ts';
import { cannotPull } from './pulls.ts';
import { maskError, type SecretStore } from './secrets.ts';
import type { Finding } from './waybill.ts';
import { type WireWorld, wireFlow, wireLanes } from './wire.ts';

/** So many findings fit on a screen; `waybill check` lists them all, each with what to do. */
const FINDINGS_SHOWN = 20;

/** Throws the first error of the flow file, and names the others with it: a file is mended in one go, not in many. */
export function requireSound(config: Config): void {
  const errors = config.findings.filter((finding) => finding.level === 'error');
  const [first] = errors;
  if (first === undefined) return;
  const lines = errors.slice(0, FINDINGS_SHOWN).map(({ place, message }) => `${place ?? config.file} ${message}`);
  if (errors.length > FINDINGS_SHOWN)
    lines.push(`and ${errors.length - FINDINGS_SHOWN} more: waybill check lists them`);
  throw new WaybillError(first.code as ErrorCode, lines.join('\n'), {
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    ids: { file: config.file, findings: errors.length },
  });
}

/** The flow of this name; throws what is wrong with the flow file first. */
export function requireFlow(config: Config, name: string): FlowConfig {
  if (!config.flowNames.includes(name)) {
    // A file that could not be read as one names no flows: that is what is wrong then, not the name.
    if (config.flowNames.length === 0) requireSound(config);
    const message = `there is no flow ${JSON.stringify(name)} in ${config.file}${didYouMean(name, config.flowNames)}`;
    throw new WaybillError('FLOW_UNKNOWN', message, { ids: { flow: name, file: config.file } });
  }
  requireSound(config);
  return config.flows.get(name)!;
}

/** Every secret that a flow uses can be read: better now than when batches are sealed and the sink is asked. */
export function requireSecrets(config: Config, flow: FlowConfig, secrets: SecretStore): void {
  const connections = [flow.source, ...flow.lanes].map(({ connection }) => connection.name);
  for (const { reference, place, path } of config.secrets) {
    const [part, name] = path;
    const used = part === 'connections' ? connections.includes(String(name)) : name === flow.name;
    const finding = used ? checkSecret(reference, place, secrets) : undefined;
    if (finding === undefined) continue;
    throw new WaybillError('SECRET_MISSING', `${place}: ${finding.message}`, { ids: { reference, flow: flow.name } });
  }
}

/** What can be known of the flows without touching a network: do strategies fit sinks, are secrets there. */
export async function checkFlows(config: Config, world: WireWorld): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const flow of config.flows.values()) findings.push(...(await checkFits(flow, world)));
  for (const { reference, place } of config.secrets) {
    const finding = checkSecret(reference, place, world.secrets);
    if (finding !== undefined) findings.push(finding);
  }
  return findings;
}

async function checkFits(flow: FlowConfig, world: WireWorld): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  try {
    const { lanes, close } = wireLanes(flow, world);
    for (const lane of lanes) {
      const why = await whyImpossible(lane);
      if (why === undefined) continue;
      const message = `flow ${flow.name}, ${why.message}`;
      findings.push({ level: 'error', code: 'PROMISE_IMPOSSIBLE', message, hint: why.hint });
    }
    await close();
    findings.push(...(await checkSource(flow, world)));
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    maskError(error);
    findings.push({
      level: 'error',
      code: error.code,
      message: `flow ${flow.name}: ${error.message}`,
      hint: error.hint,
    });
  }
  return findings;
}

/** Opening a source does no I/O, and shows whether it can tell what is new, and whether it can be read in parts. */
async function checkSource(flow: FlowConfig, world: WireWorld): Promise<readonly Finding[]> {
  if (flow.window !== 'pull' && flow.staging === 'copy') return [];
  const findings: Finding[] = [];
  const { source, lanes, close } = wireFlow(flow, world);
  await close();
  if (flow.window === 'pull' && source.source.pulls === undefined) {
    const { code, message, hint } = cannotPull(flow);
    findings.push({ level: 'error', code, message, hint });
  }
  const why = whyNotKept(flow, { source: source.source, lanes });
  if (why === undefined) return findings;
  const message = `flow ${flow.name}, ${why.message}`;
  return [...findings, { level: 'error', code: 'PROMISE_IMPOSSIBLE', message, hint: why.hint }];
}

/** Only a warning: `waybill check` runs in places that have no secrets. */
function checkSecret(reference: string, place: string, secrets: SecretStore): Finding | undefined {
  try {
    secrets.resolve(reference);
    return undefined;
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    return { level: 'warning', code: error.code, place, message: error.message, hint: error.hint };
  }
}
