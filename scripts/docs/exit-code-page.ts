/** The rows of the table of exit codes, for any Markdown page. */
export function exitCodeTable(meanings: Readonly<Record<number, string>>): string {
  const rows = Object.entries(meanings).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return ['| code | means |', '|---|---|', ...rows].join('\n');
}

export function exitCodePage(meanings: Readonly<Record<number, string>>): string {
  return `# Exit codes

Every command ends with one of these, and its own help lists those that it can end with.

${exitCodeTable(meanings)}

\`waybill run --empty-exit-code N\` ends with N instead of 0 when there was nothing to do, for schedulers that tell the
two apart (Airflow's BashOperator takes 99 for skipped).
`;
}
