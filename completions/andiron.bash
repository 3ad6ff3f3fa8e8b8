# Completion of andiron(1) for bash.

_andiron_options() {
  local sampling="--temp --top-k --top-p --min-p --typical-p --xtc-probability --xtc-threshold --mirostat
    --mirostat-tau --mirostat-eta --repetition-penalty --presence-penalty --frequency-penalty --penalty-last-n
    --dry-multiplier --dry-base --dry-allowed-length --dry-last-n"
  local answer="--tokens --greedy --seed --stop --logit-bias --draft --lookup --adapter --system $sampling"
  case $1 in
    run) echo "--prompt --file --chat --template --json --no-special --show-special --ignore-end --logprobs $answer" ;;
    chat) echo "--load --template $answer" ;;
    inspect) echo "--json --tensors" ;;
    tokenize) echo "--text --file --no-special --json" ;;
    detokenize) echo "--tokens --file --show-special --json" ;;
    template) echo "--messages --tools --template --no-generation-prompt --json" ;;
    logits) echo "--tokens --out" ;;
    ppl) echo "--file --base --window --windows --json" ;;
    quantize) echo "--type --imatrix --pure" ;;
    imatrix) echo "--file --out --window --windows" ;;
    bench) echo "--pp --tg --depth --reps --train --seq --batch --rank --memory --json" ;;
    cache) echo "list clear --json" ;;
    doctor) echo "--json" ;;
    learn) echo "--out --as --template --method --rank --alpha --targets --dropout --lora-plus --loss --beta --format --everything --last-answer --split-long --held-out --replay --general --kl --no-pack --by-length --steps --epochs --seq-len --batch --grad-accum --lr --schedule --warmup --weight-decay --clip --adam8 --neftune --patience --save-every --eval-every --until --budget --memory --checkpointing --seed --resume --json" ;;
    pretrain) echo "--out --steps --until --budget --memory --checkpointing --resume --json" ;;
    eval)
      echo "--data --adapter --metric --max-rows --seq-len --tokens --held-out --seed --format --everything
        --last-answer --split-long --template --no-base --json"
      ;;
    adapters)
      echo "--model --prompt --file --chat --system --template --tokens --temp --seed --into --as --out --type
        --method --density --rank --format --yes --json"
      ;;
    tokenizer) echo "--out --vocab --pre --special --bos --eos --pad --chat-template --format --json" ;;
    plot) echo "--out" ;;
    synth) echo "--type --seed --recite" ;;
  esac
}

_andiron() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command="" i
  local commands="run chat inspect tokenize detokenize template logits ppl quantize imatrix bench cache doctor learn pretrain eval adapters tokenizer plot synth help"
  local global="--isa --threads --kv --ctx --no-cache --quiet --help --version"
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ " $commands " == *" ${COMP_WORDS[i]} "* ]]; then
      command=${COMP_WORDS[i]}
      break
    fi
  done
  local words
  case $before in
    --isa) words="scalar avx2 avx512 amx" ;;
    --kv) words="f16 q8_0" ;;
    --type)
      words="F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 IQ4_NL IQ4_XS Q3_K_L Q3_K_M
        Q3_K_S Q2_K Q2_K_S"
      ;;
    help) words=$commands ;;
    --metric) words="loss exact contains choice" ;;
    adapters) words="list show diff merge export import remove" ;;
    tokenizer) words="train show" ;;
    --pre) words="qwen2 gpt-2 llama-bpe" ;;
    synth) words="smollm2-135m tinyllama-1.1b llama-2-7b tiny tiny-odd" ;;
    *)
      if [[ -z $command ]]; then
        words="$commands $global"
      elif [[ $word == -* || $command == cache ]]; then
        words="$(_andiron_options "$command") $global"
      fi
      ;;
  esac
  local IFS=$' \t\n'
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  else
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}

complete -F _andiron andiron
