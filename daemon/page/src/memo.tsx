import { Component, type ComponentType, type FunctionComponent } from "preact";

/** A component that is drawn again only after one of its properties changed. */
export function memo<Props extends object>(Inner: FunctionComponent<Props>): ComponentType<Props> {
  return class extends Component<Props> {
    override shouldComponentUpdate(next: Props) {
      const now: Props = this.props;
      const names = Object.keys(next) as (keyof Props)[];
      return names.length !== Object.keys(now).length || names.some((n) => next[n] !== now[n]);
    }
    override render() {
      return <Inner {...this.props} />;
    }
  };
}
