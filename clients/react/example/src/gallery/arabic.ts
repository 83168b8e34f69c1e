// Some of the texts in Arabic, for the layout from right to left.
import type { SomeLabels } from "@bindery/react";

export const arabic: SomeLabels = {
  locale: "ar-EG",
  units: {
    page: {
      zero: "صفحة",
      one: "صفحة",
      two: "صفحتان",
      few: "صفحات",
      many: "صفحة",
      other: "صفحة",
    },
  },
  time: {
    second: { other: "ث" },
    minute: { other: "د" },
    hour: { other: "س" },
    day: { one: "يوم", two: "يومان", few: "أيام", other: "يومًا" },
  },
  states: {
    ANALYZING: "قراءة الكتاب",
    GENERATING_SCENES: "كتابة المشاهد",
    CREATING_ARTWORK: "الرسم",
  },
  stageState: { done: "تم", active: "جارٍ", pending: "معلّق", failed: "فشل", cancelled: "أُلغي" },
  percent: (progress) =>
    new Intl.NumberFormat("ar-EG", { style: "percent" }).format(Math.floor(progress) / 100),
  amount: (done, total, unit) =>
    [total === null ? done : `${done} من ${total}`, unit].filter(Boolean).join(" "),
  attempt: (attempt, most) =>
    most === null ? `المحاولة ${attempt}` : `المحاولة ${attempt} من ${most}`,
  remaining: (duration) => `بقي نحو ${duration}`,
};
