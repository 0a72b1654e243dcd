# Stands where the DSL of the Elixir implementation is and prints what a module declares, as JSON.
# Usage: elixir recorder.exs FILE

defmodule PgFlow.Recorder do
  defmacro declare(names, attribute) do
    quote bind_quoted: [names: names, attribute: attribute] do
      defmacro __using__(_) do
        attribute = unquote(attribute)

        quote do
          import unquote(__MODULE__)
          Module.register_attribute(__MODULE__, :recorded, accumulate: true)
          @recorder unquote(attribute)
          @before_compile PgFlow.Recorder
        end
      end

      for name <- names do
        defmacro unquote(name)(slug, options \\ [], do: handler) do
          name = unquote(name)

          quote do
            true = is_function(unquote(handler), 2)
            @recorded {unquote(name), unquote(slug), unquote(options)}
          end
        end
      end
    end
  end

  defmacro __before_compile__(env) do
    options = Module.get_attribute(env.module, Module.get_attribute(env.module, :recorder))
    recorded = Enum.reverse(Module.get_attribute(env.module, :recorded))

    quote do
      def recorded, do: unquote(Macro.escape({options, recorded}))
    end
  end

  def json(nil), do: "null"
  def json(value) when is_boolean(value) or is_number(value), do: to_string(value)
  def json(value) when is_atom(value), do: json(":" <> Atom.to_string(value))
  def json(value) when is_binary(value), do: "\"" <> escaped(value) <> "\""
  def json(value) when is_tuple(value), do: json(Tuple.to_list(value))

  def json(value) when is_map(value) do
    "{" <> Enum.map_join(value, ",", fn {key, each} -> json(key) <> ":" <> json(each) end) <> "}"
  end

  def json(value) when is_list(value), do: "[" <> Enum.map_join(value, ",", &json/1) <> "]"

  defp escaped(text) do
    for <<character::utf8 <- text>>, into: "" do
      if character < 32 or character in [?", ?\\],
        do: "\\u" <> String.pad_leading(Integer.to_string(character, 16), 4, "0"),
        else: <<character::utf8>>
    end
  end
end

defmodule PgFlow.Flow do
  require PgFlow.Recorder
  PgFlow.Recorder.declare([:step, :map], :flow)
end

defmodule PgFlow.Job do
  require PgFlow.Recorder
  PgFlow.Recorder.declare([:perform], :job)
end

for {module, _} <- Enum.reverse(Code.compile_file(hd(System.argv()))) |> Enum.sort() do
  IO.puts(PgFlow.Recorder.json(module.recorded()))
end
