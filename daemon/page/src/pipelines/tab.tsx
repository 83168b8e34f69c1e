export function PipelinesTab() {
  return null;
}
