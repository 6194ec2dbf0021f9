// JSON that was cut short: keep what stands before the cut.

const CLOSER = { "{": "}", "[": "]" };

// Return the longest beginning of the text that can be closed to valid JSON, closed; null if there is none.
export function repaired(text) {
  const open = [];
  let safe = null;
  let inString = false;
  const keep = (end) => {
    safe = {
      end,
      closers: open
        .map((character) => CLOSER[character])
        .reverse()
        .join(""),
    };
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inString) {
      if (character === "\\") at++;
      else if (character === '"') inString = false;
      continue;
    }
    if (character === '"') inString = true;
    else if (character === "{" || character === "[") {
      open.push(character);
      keep(at + 1);
    } else if (character === "}" || character === "]") {
      open.pop();
      keep(at + 1);
    } else if (character === ",") keep(at);
  }
  return safe === null ? null : text.slice(0, safe.end) + safe.closers;
}
