// Reads `N --minutes 5 --seed 1 --workers 2`: words and options with a value.
export function readArguments(words) {
  const options = {};
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (!word.startsWith('--')) options.schedules = Number(word);
    else if (/^--(no-tally|quiet)$/.test(word)) options[word.slice(2)] = true;
    else options[word.slice(2)] = words[++at];
  }
  return options;
}
