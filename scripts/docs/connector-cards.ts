import { type Card, cardTable, sinkCard, sourceCard } from '../../src/testing/suites/card.ts';
import { SUBJECTS } from '../../test/connectors/all.ts';

let made: Promise<string> | undefined;

/** What the suites have found of every connector. They are run for it, once in a process. */
export function connectorCardsPage(): Promise<string> {
  made ??= makePage();
  return made;
}

async function makePage(): Promise<string> {
  const sections: string[] = [];
  for (const [type, { sources, sinks, elsewhere }] of Object.entries(SUBJECTS)) {
    const cards: Card[] = [];
    for (const subject of sources) cards.push(await sourceCard(subject));
    for (const subject of sinks) cards.push(await sinkCard(subject));
    const parts = cards.flatMap((card) => [`### ${card.name}`, cardTable(card).join('\n')]);
    sections.push([`## ${type}`, ...(elsewhere === undefined ? [] : [elsewhere]), ...parts].join('\n\n'));
  }
  return `# What connectors can do

Made by running the suites that every connector has to pass, on each connector that Waybill brings: what it claims, what
was proven of that, and by which cases. An ability that is shown but not claimed, or claimed without a case, fails. How
a connector of your own gets such a card: [writing a connector](../guide/writing-a-connector.md). Settings:
[by connector](connectors/README.md).

${sections.join('\n\n')}
`;
}
